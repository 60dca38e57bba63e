// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// All of cogather. Each header below also stands alone.
#pragma once

// Collect: run many, keep what they return or why they did not.
#include <cogather/gather.hpp>
#include <cogather/settled.hpp>

// Limit: how many at a time.
#include <cogather/semaphore.hpp>

// Time: how long, and how often.
#include <cogather/retry.hpp>
#include <cogather/timeout.hpp>
