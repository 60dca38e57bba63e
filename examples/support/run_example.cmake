# SPDX-License-Identifier: BSL-1.0
# Copyright (c) 2026 the cogather authors
#
# Runs an example and checks how it ends and what it prints. (CTest's PASS_REGULAR_EXPRESSION
# would ignore the exit code.)
#
#   cmake -D PROGRAM=... -D EXIT=0 [-D "ARGUMENTS=a;b"] [-D OUTPUT_IS=file]
#         [-D "MATCHES=regex;regex"] -P run_example.cmake
#
# OUTPUT_IS is what stdout must be, to the letter; each of MATCHES must be found in what stdout and
# stderr hold together.

execute_process(
  COMMAND "${PROGRAM}" ${ARGUMENTS}
  RESULT_VARIABLE exit_code
  OUTPUT_VARIABLE output
  ERROR_VARIABLE errors)
set(said "${output}${errors}")

set(wrong "")
if(NOT exit_code STREQUAL EXIT)
  string(APPEND wrong "\n  the exit code is ${exit_code} and should be ${EXIT}")
endif()
if(OUTPUT_IS)
  file(READ "${OUTPUT_IS}" expected)
  if(NOT output STREQUAL expected)
    string(APPEND wrong "\n  the output is not that of ${OUTPUT_IS}")
  endif()
endif()
foreach(regex IN LISTS MATCHES)
  if(NOT said MATCHES "${regex}")
    string(APPEND wrong "\n  nothing matches: ${regex}")
  endif()
endforeach()

message("${said}")
if(wrong)
  list(JOIN ARGUMENTS " " arguments)
  message(FATAL_ERROR "${PROGRAM} ${arguments}:${wrong}")
endif()
