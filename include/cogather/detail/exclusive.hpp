// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#pragma once

#include <cogather/detail/executor.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace cogather::detail {

/// Code that only one thread at a time may be in. A debug build finds out when two are, which
/// happens when a bare `io_context` is run by several threads, and stops the program; a release
/// build does not look.
class exclusive {
 public:
  // The same layout in both builds, since a program may be linked from both.
  class section {
   public:
    explicit section(exclusive& where) noexcept : where_(where) {
#if !defined(NDEBUG)
      const void* nobody = nullptr;
      entered_ = where_.inside_.compare_exchange_strong(nobody, this_thread_mark());
      if (!entered_ && nobody != this_thread_mark()) {
        std::fputs(
            "cogather: two threads are inside one call at once. The caller's executor must be "
            "sequential: run its io_context by one thread, or spawn the caller on a strand.\n",
            stderr);
        std::abort();
      }
#endif
    }
    ~section() {
      if (entered_) where_.inside_ = nullptr;
    }
    section(const section&) = delete;
    section& operator=(const section&) = delete;

   private:
    exclusive& where_;
    bool entered_ = false;
  };

 private:
  std::atomic<const void*> inside_{nullptr};
};

}  // namespace cogather::detail
