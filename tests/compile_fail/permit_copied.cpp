// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: deleted
#include <cogather/semaphore.hpp>

#include <utility>

void caller(cogather::permit held) {
#ifdef COGATHER_REJECTED
  cogather::permit copy = held;
#else
  cogather::permit moved = std::move(held);
#endif
}
