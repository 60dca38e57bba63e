// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// What the examples show while they work: a line on the terminal that goes when they are done.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

namespace examples {

/// A bar on stderr, from construction to destruction. Silent when stderr is not a terminal.
class progress_bar {
 public:
  progress_bar(std::string label, std::size_t total)
      : label_(std::move(label)), total_(total), visible_(isatty(STDERR_FILENO) == 1) {
    update(0);
  }
  ~progress_bar() {
    if (visible_) std::fputs("\r\033[K", stderr);  // back to the margin, and clear the line
  }
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  void update(std::size_t done) {
    if (!visible_) return;
    const std::size_t filled = total_ == 0 ? width : std::min(done, total_) * width / total_;
    const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
    std::fprintf(stderr, "\r%s [%s] %zu/%zu", label_.c_str(), bar.c_str(), done, total_);
    std::fflush(stderr);
  }

 private:
  static constexpr std::size_t width = 40;

  std::string label_;
  std::size_t total_;
  bool visible_;
};

}  // namespace examples
