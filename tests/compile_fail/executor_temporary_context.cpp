// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// expect: cogather: an executor_ref does not own its executor: give the executor a name
#include <cogather/gather.hpp>

#include <asio/thread_pool.hpp>

#ifdef COGATHER_REJECTED
cogather::executor_ref where = asio::thread_pool(2);
#else
asio::thread_pool pool(2);
cogather::executor_ref where = pool;
#endif
