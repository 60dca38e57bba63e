// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// The main function of every test program, for Catch2 2 and 3 alike (link Catch2::Catch2, not
// Catch2::Catch2WithMain), and what the sanitizers have to know.
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 under the address sanitizer suspects the regular expressions inside of Catch2 2.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <asio/version.hpp>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_THREAD_SANITIZER 1
#endif

#if defined(TEST_THREAD_SANITIZER) && ASIO_VERSION < 103800
// Before 1.38 Asio orders the last release of a reference count by atomic_thread_fence, which the
// thread sanitizer does not understand. These two functions and nothing else are excused.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:ref_count_down\nrace:~shared_target_executor\n";
}
#endif

int main(int argc, char* argv[]) { return Catch::Session().run(argc, argv); }
