// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

#include "tasks.hpp"

#include <pthread.h>

#include <stdexcept>

namespace test {

void on_small_stack(const std::function<void()>& f) {
  constexpr std::size_t size = 256 * 1024;
  struct job {
    const std::function<void()>& f;
    std::exception_ptr error;
  } work{f, nullptr};

  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, size);
  pthread_t thread;
  const auto run = [](void* p) -> void* {
    auto& j = *static_cast<job*>(p);
    try {
      j.f();
    } catch (...) {
      j.error = std::current_exception();
    }
    return nullptr;
  };
  const int failed = ::pthread_create(&thread, &attributes, run, &work);
  ::pthread_attr_destroy(&attributes);
  if (failed != 0) throw std::runtime_error("test::on_small_stack: no thread");
  ::pthread_join(thread, nullptr);
  if (work.error) std::rethrow_exception(work.error);
}

}  // namespace test
