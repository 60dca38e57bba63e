// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: a task cannot return a reference
#include <cogather/settled.hpp>

#ifdef COGATHER_REJECTED
cogather::settled<int&> outcome;
#else
cogather::settled<int*> outcome;
#endif
