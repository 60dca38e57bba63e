# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# The install rules, and the package that find_package(cogather) finds.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Below share/: there is nothing of a machine's architecture in it.
set(cogather_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/cogather")

install(TARGETS cogather EXPORT cogatherTargets FILE_SET HEADERS)
install(EXPORT cogatherTargets NAMESPACE cogather:: DESTINATION "${cogather_package_dir}")

configure_package_config_file(
  cmake/cogatherConfig.cmake.in "${PROJECT_BINARY_DIR}/cogatherConfig.cmake"
  INSTALL_DESTINATION "${cogather_package_dir}" NO_SET_AND_CHECK_MACRO
)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/cogatherConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT
)
install(
  FILES "${PROJECT_BINARY_DIR}/cogatherConfig.cmake"
        "${PROJECT_BINARY_DIR}/cogatherConfigVersion.cmake"
        "${CMAKE_CURRENT_LIST_DIR}/Findasio.cmake"
  DESTINATION "${cogather_package_dir}"
)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/cogather")
