// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors

// Catch2, version 2 or 3, with what the two spell differently.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <exception>
#include <string>
#include <utility>

namespace test {

#if __has_include(<catch2/catch_test_macros.hpp>)
template <class T>
using matcher_base = Catch::Matchers::MatcherBase<T>;

inline auto contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#else
template <class T>
using matcher_base = Catch::MatcherBase<T>;

// CHECK_THAT(text, contains("limit")).
inline auto contains(const std::string& text) { return Catch::Contains(text); }
#endif

// CHECK_THROWS_MATCHES(f(), std::invalid_argument, says("limit")): what() contains the text.
class says : public matcher_base<std::exception> {
 public:
  explicit says(std::string text) : text_(std::move(text)) {}

  bool match(const std::exception& error) const override {
    return std::string(error.what()).find(text_) != std::string::npos;
  }

  std::string describe() const override { return "says \"" + text_ + "\""; }

 private:
  std::string text_;
};

}  // namespace test
