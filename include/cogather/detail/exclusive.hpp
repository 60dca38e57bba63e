// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace cogather::detail {

/// Code that only one thread at a time may be in. A debug build finds out when two are, which
/// happens when a bare `io_context` is run by several threads, and stops the program; a release
/// build does not look.
class exclusive {
 public:
  class section {
   public:
#if defined(NDEBUG)
    explicit section(exclusive&) noexcept {}
    ~section() {}  // not trivial, so that an unused-variable warning does not depend on the build
#else
    explicit section(exclusive& where) noexcept : where_(where) {
      static thread_local const char here = 0;
      const void* nobody = nullptr;
      entered_ = where_.inside_.compare_exchange_strong(nobody, &here);
      if (!entered_ && nobody != &here) {
        std::fputs(
            "cogather: two threads are inside one call at once. The caller's executor must be "
            "sequential: run its io_context by one thread, or spawn the caller on a strand.\n",
            stderr);
        std::abort();
      }
    }
    ~section() {
      if (entered_) where_.inside_ = nullptr;
    }
#endif
    section(const section&) = delete;
    section& operator=(const section&) = delete;

   private:
#if !defined(NDEBUG)
    exclusive& where_;
    bool entered_;
#endif
  };

 private:
  [[maybe_unused]] std::atomic<const void*> inside_{nullptr};
};

}  // namespace cogather::detail
