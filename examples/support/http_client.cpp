// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
//
// libcurl's "multi socket" interface does not wait for anything itself. It calls back to say which
// sockets it wants watched (`on_socket`) and when it wants to be woken (`on_timer`); whoever drives
// it reports what has happened by `curl_multi_socket_action`. Here Asio watches and wakes:
//
//     get() --> start() --> curl_multi_add_handle
//                                 |
//               +-----------------+------------------+
//               v                                    v
//     on_socket: async_wait on a descriptor    on_timer: a steady_timer
//               |                                    |
//               +--> report() <----------------------+     --> curl_multi_socket_action
//                       |
//                       +--> collect_finished() --> finish() --> posts the result to the caller
//
// Who owns what: `connections` owns curl's handles, the watches and the transfers; a transfer owns
// the suspended caller. Handlers that Asio holds refer to all of these weakly, so that one which
// comes too late finds nothing and does nothing.
#include "http_client.hpp"

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_error.hpp>
#include <asio/use_awaitable.hpp>
#include <curl/curl.h>

#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace examples {
namespace {

struct frees_easy {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
using easy_ptr = std::unique_ptr<CURL, frees_easy>;

// curl is told to leave signals alone, so a write to a closed TLS connection would end the program.
void prepare_curl() {
  static const CURLcode ready = [] {
    std::signal(SIGPIPE, SIG_IGN);
    return curl_global_init(CURL_GLOBAL_DEFAULT);
  }();
  if (ready != CURLE_OK) throw std::runtime_error(curl_easy_strerror(ready));
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  // In parentheses: the function itself, not the macro that checks literal options.
  if (const CURLcode code = (curl_easy_setopt)(easy, option, value); code != CURLE_OK) {
    throw std::runtime_error(curl_easy_strerror(code));
  }
}

std::exception_ptr aborted() {
  return std::make_exception_ptr(asio::system_error(asio::error::operation_aborted));
}

// The suspended caller. Destroying it without a call destroys the caller.
class waiting_caller {
 public:
  virtual ~waiting_caller() = default;
  virtual void post(std::exception_ptr error, http_response response) = 0;
};

template <class Handler>
class waiting_handler final : public waiting_caller {
 public:
  explicit waiting_handler(Handler handler) : handler_(std::move(handler)) {}

  void post(std::exception_ptr error, http_response response) override {
    const auto executor = asio::get_associated_executor(handler_);
    asio::post(executor, [handler = std::move(handler_), error = std::move(error),
                          response = std::move(response)]() mutable {
      std::move(handler)(std::move(error), std::move(response));
    });
  }

 private:
  Handler handler_;
};

// One request.
struct transfer {
  std::unique_ptr<waiting_caller> caller;
  std::string url;
  std::size_t max_body = 0;
  bool too_long = false;
  http_response response;
  std::array<char, CURL_ERROR_SIZE> reason{};
  easy_ptr easy;  // destroyed first: it refers to the members above

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
    auto& t = *static_cast<transfer*>(self);
    if (size > t.max_body - t.response.body.size()) {
      t.too_long = true;
      return 0;  // curl then gives up
    }
    try {
      t.response.body.append(data, size);
    } catch (...) {
      return 0;
    }
    return size;
  }

  // What the caller is to be told once curl has ended with `code`; null for a response.
  std::exception_ptr error(CURLcode code, bool throw_on_error_status) const {
    if (too_long) {
      return std::make_exception_ptr(
          transport_error(url, "the answer is longer than " + std::to_string(max_body) + " bytes"));
    }
    if (code != CURLE_OK) {
      const char* const said = reason[0] ? reason.data() : curl_easy_strerror(code);
      return std::make_exception_ptr(transport_error(url, said));
    }
    if (throw_on_error_status && response.status >= 400) {
      return std::make_exception_ptr(http_error(url, response.status));
    }
    return nullptr;
  }
};

// A socket that curl wants watched. The descriptor borrows the socket: curl opens and closes it.
struct watch {
  asio::posix::stream_descriptor socket;
  int wanted = CURL_POLL_NONE;
  bool waits_to_read = false;
  bool waits_to_write = false;

  explicit watch(const asio::any_io_executor& executor) : socket(executor) {}
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;
  ~watch() { end(); }

  // Cancels the waits and lets the socket be: curl may close it right afterwards.
  void end() {
    wanted = CURL_POLL_NONE;
    if (socket.is_open()) socket.release();
  }
};

}  // namespace

class http_client::connections : public std::enable_shared_from_this<connections> {
 public:
  connections(asio::any_io_executor executor, http_client_options options);
  ~connections();

  // Begins to be told when the execution context shuts down.
  void enlist();

  void start(std::unique_ptr<waiting_caller> caller, asio::cancellation_slot slot, std::string url);

  // The client goes: what is under way ends with operation_aborted.
  void close();

  // The context goes: what is under way is destroyed, and all that belongs to the context with it.
  void abandon();

  struct initiation;

 private:
  class context_service;

  easy_ptr make_easy(transfer& t) const;
  void cancel(const std::weak_ptr<transfer>& which);
  void finish(CURL* easy, std::exception_ptr error);
  void collect_finished();
  void report(curl_socket_t socket, int events);
  void wait_for(const std::shared_ptr<watch>& w);
  void wait_for(const std::shared_ptr<watch>& w, bool to_read);
  std::vector<std::shared_ptr<transfer>> let_go();

  static int on_socket(CURL*, curl_socket_t, int what, void* self, void*) noexcept;
  static int on_timer(CURLM*, long milliseconds, void* self) noexcept;

  const http_client_options options_;
  // Empty once closed or abandoned: a strand, a timer, a descriptor must not outlive their context.
  std::optional<asio::any_io_executor> executor_;
  std::optional<asio::steady_timer> timer_;
  std::unordered_map<curl_socket_t, std::shared_ptr<watch>> watches_;
  std::unordered_map<CURL*, std::shared_ptr<transfer>> transfers_;
  CURLM* multi_ = nullptr;
};

// Knows the clients of an execution context, so that they hear when it is destroyed.
class http_client::connections::context_service final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;

  explicit context_service(asio::execution_context& context)
      : asio::execution_context::service(context) {}

  void add(const std::shared_ptr<connections>& c) {
    const std::lock_guard lock(mutex_);
    members_.emplace(c.get(), c);
  }

  void remove(connections* c) {
    const std::lock_guard lock(mutex_);
    members_.erase(c);
  }

 private:
  void shutdown() noexcept override {
    // Without the lock, for what is destroyed here may own further clients.
    std::unordered_map<connections*, std::weak_ptr<connections>> members;
    {
      const std::lock_guard lock(mutex_);
      members.swap(members_);
    }
    for (const auto& [pointer, member] : members) {
      if (const auto c = member.lock()) c->abandon();
    }
  }

  std::mutex mutex_;  // several threads may run clients of one context, on strands
  std::unordered_map<connections*, std::weak_ptr<connections>> members_;
};

http_client::connections::connections(asio::any_io_executor executor, http_client_options options)
    : options_(options), executor_(std::move(executor)), timer_(*executor_) {
  prepare_curl();
  multi_ = curl_multi_init();
  if (!multi_) throw std::bad_alloc();
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &connections::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &connections::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

http_client::connections::~connections() { let_go(); }

void http_client::connections::enlist() {
  auto& context = asio::query(*executor_, asio::execution::context);
  asio::use_service<context_service>(context).add(shared_from_this());
}

easy_ptr http_client::connections::make_easy(transfer& t) const {
  easy_ptr easy(curl_easy_init());
  if (!easy) throw std::bad_alloc();
  set(easy.get(), CURLOPT_URL, t.url.c_str());
  set(easy.get(), CURLOPT_WRITEFUNCTION, &transfer::on_body);
  set(easy.get(), CURLOPT_WRITEDATA, &t);
  set(easy.get(), CURLOPT_ERRORBUFFER, t.reason.data());
  set(easy.get(), CURLOPT_USERAGENT, "cogather-example");
  set(easy.get(), CURLOPT_ACCEPT_ENCODING, "");  // whatever curl can unpack
  set(easy.get(), CURLOPT_FOLLOWLOCATION, 1L);
  set(easy.get(), CURLOPT_MAXREDIRS, options_.max_redirects);
  set(easy.get(), CURLOPT_NOSIGNAL, 1L);
  if (!options_.use_proxy) set(easy.get(), CURLOPT_PROXY, "");
    // Neither a URL nor a redirect shall make us read files or speak other protocols.
#if LIBCURL_VERSION_NUM >= 0x075500
  set(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy.get(), CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  set(easy.get(), CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(easy.get(), CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  // A request that is dropped while its host name is looked up does not block until that has ended.
  set(easy.get(), CURLOPT_QUICK_EXIT, 1L);
#endif
  return easy;
}

void http_client::connections::start(std::unique_ptr<waiting_caller> caller,
                                     asio::cancellation_slot slot, std::string url) {
  if (!executor_) return caller->post(aborted(), {});
  const auto t = std::make_shared<transfer>();
  t->caller = std::move(caller);
  t->url = std::move(url);
  t->max_body = options_.max_body;
  try {
    t->easy = make_easy(*t);
    transfers_.emplace(t->easy.get(), t);
    if (const CURLMcode code = curl_multi_add_handle(multi_, t->easy.get()); code != CURLM_OK) {
      transfers_.erase(t->easy.get());
      throw transport_error(t->url, curl_multi_strerror(code));
    }
  } catch (...) {
    return t->caller->post(std::current_exception(), {});
  }
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this(), which = std::weak_ptr(t)](asio::cancellation_type type) {
      const auto self = weak.lock();
      if (self && type != asio::cancellation_type::none) self->cancel(which);
    });
  }
}

void http_client::connections::cancel(const std::weak_ptr<transfer>& which) {
  // A transfer that has finished, but whose caller has not resumed yet, is no longer there.
  if (const auto t = which.lock()) finish(t->easy.get(), aborted());
}

void http_client::connections::finish(CURL* easy, std::exception_ptr error) {
  const auto found = transfers_.find(easy);
  if (found == transfers_.end()) return;
  const auto t = std::move(found->second);
  transfers_.erase(found);
  curl_multi_remove_handle(multi_, easy);
  t->caller->post(std::move(error), std::move(t->response));
}

void http_client::connections::collect_finished() {
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const CURLcode code = message->data.result;  // read before `finish` frees the message
    transfer& t = *transfers_.at(easy);
    const char* url = nullptr;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &t.response.status);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    t.response.url = url ? url : t.url;
    finish(easy, t.error(code, options_.throw_on_error_status));
  }
}

void http_client::connections::report(curl_socket_t socket, int events) {
  int running = 0;
  const CURLMcode code = curl_multi_socket_action(multi_, socket, events, &running);
  collect_finished();
  if (code == CURLM_OK) return;
  while (!transfers_.empty()) {  // such an error is everybody's
    const auto& [easy, t] = *transfers_.begin();
    finish(easy, std::make_exception_ptr(transport_error(t->url, curl_multi_strerror(code))));
  }
}

// Called by curl, and so inside one of our calls to it. Neither this nor `on_timer` may call curl.
int http_client::connections::on_socket(CURL*, curl_socket_t socket, int what, void* user,
                                        void*) noexcept {
  auto& self = *static_cast<connections*>(user);
  if (what == CURL_POLL_REMOVE) {
    if (const auto found = self.watches_.find(socket); found != self.watches_.end()) {
      found->second->end();  // now, and not when the last reference to it goes
      self.watches_.erase(found);
    }
    return 0;
  }
  try {
    auto& w = self.watches_[socket];
    if (!w) w = std::make_shared<watch>(*self.executor_);
    if (!w->socket.is_open()) w->socket.assign(socket);
    w->wanted = what;
    self.wait_for(w);
    return 0;
  } catch (...) {
    return -1;  // curl then ends its transfers
  }
}

void http_client::connections::wait_for(const std::shared_ptr<watch>& w) {
  if ((w->wanted & CURL_POLL_IN) && !w->waits_to_read) wait_for(w, true);
  if ((w->wanted & CURL_POLL_OUT) && !w->waits_to_write) wait_for(w, false);
}

void http_client::connections::wait_for(const std::shared_ptr<watch>& w, bool to_read) {
  (to_read ? w->waits_to_read : w->waits_to_write) = true;
  w->socket.async_wait(
      to_read ? asio::posix::descriptor_base::wait_read : asio::posix::descriptor_base::wait_write,
      [weak_self = weak_from_this(), weak_watch = std::weak_ptr(w), to_read](asio::error_code ec) {
        // Gone, and perhaps another watch has the same socket number by now: nothing to do.
        const auto watched = weak_watch.lock();
        const auto self = weak_self.lock();
        if (!watched || !self) return;
        (to_read ? watched->waits_to_read : watched->waits_to_write) = false;
        if (watched->wanted & (to_read ? CURL_POLL_IN : CURL_POLL_OUT)) {
          const int ready = to_read ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
          self->report(watched->socket.native_handle(), ec ? CURL_CSELECT_ERR : ready);
        }
        // Unless curl has just done with the socket.
        if (watched->socket.is_open() && !ec) self->wait_for(watched);
      });
}

int http_client::connections::on_timer(CURLM*, long milliseconds, void* user) noexcept {
  auto& self = *static_cast<connections*>(user);
  if (!self.timer_) return 0;
  try {
    if (milliseconds < 0) {
      self.timer_->cancel();
      return 0;
    }
    self.timer_->expires_after(std::chrono::milliseconds(milliseconds));
    self.timer_->async_wait([weak = self.weak_from_this()](asio::error_code ec) {
      const auto c = weak.lock();
      if (!ec && c && c->executor_) c->report(CURL_SOCKET_TIMEOUT, 0);
    });
    return 0;
  } catch (...) {
    return -1;
  }
}

// Gives back all that belongs to curl and to the context. The callers are left to be told, or to be
// destroyed, when everything else is in order: that may run code that comes back here.
std::vector<std::shared_ptr<transfer>> http_client::connections::let_go() {
  std::vector<std::shared_ptr<transfer>> under_way;
  if (!multi_) return under_way;
  under_way.reserve(transfers_.size());
  for (auto& [easy, t] : transfers_) {
    curl_multi_remove_handle(multi_, easy);
    under_way.push_back(std::move(t));
  }
  transfers_.clear();
  curl_multi_cleanup(std::exchange(multi_, nullptr));
  watches_.clear();
  timer_.reset();
  executor_.reset();
  return under_way;
}

void http_client::connections::close() {
  if (!executor_) return;
  auto& context = asio::query(*executor_, asio::execution::context);
  asio::use_service<context_service>(context).remove(this);
  for (const auto& t : let_go()) t->caller->post(aborted(), {});
}

void http_client::connections::abandon() {
  // A caller's coroutine may own the client itself, and so the last reference but this.
  const auto self = shared_from_this();
  let_go();
}

// Runs when the result is awaited. A type with a constructor, for g++ 12 destroys the captures of
// a lambda twice where it stands within a `co_await` expression.
struct http_client::connections::initiation {
  explicit initiation(std::shared_ptr<connections> c) : self(std::move(c)) {}

  template <class Handler>
  void operator()(Handler&& handler, std::string url) const {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    self->start(
        std::make_unique<waiting_handler<std::decay_t<Handler>>>(std::forward<Handler>(handler)),
        slot, std::move(url));
  }

  std::shared_ptr<connections> self;
};

http_client::http_client(asio::any_io_executor executor, http_client_options options)
    : connections_(std::make_shared<connections>(std::move(executor), options)) {
  connections_->enlist();
}

http_client::~http_client() { connections_->close(); }

asio::awaitable<http_response> http_client::get(std::string url) {
  return asio::async_initiate<const asio::use_awaitable_t<>,
                              void(std::exception_ptr, http_response)>(
      connections::initiation(connections_), asio::use_awaitable, std::move(url));
}

}  // namespace examples
