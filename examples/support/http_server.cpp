// SPDX-License-Identifier: BSL-1.0
// Copyright (c) 2026 the cogather authors
#include "http_server.hpp"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <signal.h>

#include <mutex>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

namespace examples {
namespace {

template <auto Free>
struct freed_by {
  void operator()(auto* p) const noexcept { Free(p); }
};

using event_base_ptr = std::unique_ptr<event_base, freed_by<event_base_free>>;
using evhttp_ptr = std::unique_ptr<evhttp, freed_by<evhttp_free>>;
using event_ptr = std::unique_ptr<event, freed_by<event_free>>;
using buffer_ptr = std::unique_ptr<evbuffer, freed_by<evbuffer_free>>;

// The requests are GETs without a body: whatever is longer than this was not meant for us.
constexpr ev_ssize_t max_headers = 16 * 1024;
constexpr ev_ssize_t max_body = 4 * 1024;
constexpr int backlog = 1024;

template <class Pointer>
Pointer made(Pointer p, const char* what) {
  if (!p) throw std::runtime_error(std::string("the example's web server: no ") + what);
  return p;
}

struct response {
  int status = 200;
  const char* reason = "OK";
  std::string location;  // of a redirect
};

std::string_view first_segment(std::string_view path) { return path.substr(0, path.find('/', 1)); }

}  // namespace

// All of it but `port`, `forget_recoveries` and `stop` happens in the server's own thread.
class http_server::service {
 public:
  explicit service(http_server_options options)
      : options_(options),
        base_(made_base()),
        http_(made(evhttp_new(base_.get()), "HTTP server")),
        stop_(made(event_new(base_.get(), -1, 0, &service::on_stop, base_.get()), "event")) {
    evhttp_set_max_headers_size(http_.get(), max_headers);
    evhttp_set_max_body_size(http_.get(), max_body);
    evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET);
    evhttp_set_gencb(http_.get(), &service::on_request, this);
    listen();
    thread_ = std::thread([this] { run(); });
  }

  ~service() {
    // The event wakes the loop even if the thread has not entered it yet; a plain
    // `event_base_loopbreak` would be forgotten.
    event_active(stop_.get(), 0, 0);
    thread_.join();
    // The connections still point to their exchanges: each is taken out before both are freed.
    while (!exchanges_.empty()) forget(exchanges_.begin()->first);
  }

  std::uint16_t port() const noexcept { return port_; }

  void forget_recoveries() {
    const std::lock_guard lock(mutex_);
    failures_.clear();
  }

 private:
  // A request that has not been answered yet.
  struct exchange {
    service* owner;
    evhttp_request* request;
    event_ptr answer;  // fires when it is time to answer; null for a request that hangs
    event_ptr gone;    // fires when the client has closed the connection
    response what;
  };

  static event_base* made_base() {
    evthread_use_pthreads();  // so that another thread may activate an event
    return made(event_base_new(), "event loop");
  }

  void listen() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);  // nobody but this machine
    address.sin_port = 0;                              // any free port
    evconnlistener* const listener =
        made(evconnlistener_new_bind(base_.get(), nullptr, nullptr,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, backlog,
                                     reinterpret_cast<sockaddr*>(&address), sizeof address),
             "free port on 127.0.0.1");
    socklen_t size = sizeof address;
    getsockname(evconnlistener_get_fd(listener), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    if (!evhttp_bind_listener(http_.get(), listener)) {
      evconnlistener_free(listener);
      throw std::runtime_error("the example's web server cannot listen");
    }
  }

  void run() {
    // Signals are for the main thread; and a write to a client that has gone is an error code.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY);
  }

  static void on_stop(evutil_socket_t, short, void* base) {
    event_base_loopbreak(static_cast<event_base*>(base));
  }

  static void on_request(evhttp_request* request, void* self) {
    static_cast<service*>(self)->take(request);
  }

  void take(evhttp_request* request) {
    const evhttp_uri* const uri = evhttp_request_get_evhttp_uri(request);
    const char* const path_or_null = uri ? evhttp_uri_get_path(uri) : nullptr;
    const std::string path = path_or_null ? path_or_null : "";
    const std::string_view wanted = first_segment(path);
    response what;
    if (wanted == "/fails" || (wanted == "/recovers" && still_failing(path))) {
      what = {503, "Service Unavailable", {}};
    } else if (wanted == "/moved") {
      what = {302, "Found", "/answers" + path.substr(wanted.size())};
    } else if (wanted != "/answers" && wanted != "/recovers" && wanted != "/hangs") {
      what = {404, "Not Found", {}};
    }
    wait_and_answer(request, std::move(what), wanted != "/hangs");
  }

  bool still_failing(const std::string& path) {
    const std::lock_guard lock(mutex_);
    std::size_t& failures = failures_[path];
    if (failures == options_.failures_before_recovery) return false;
    ++failures;
    return true;
  }

  void wait_and_answer(evhttp_request* request, response what, bool answers) {
    evhttp_connection* const connection = evhttp_request_get_connection(request);
    auto waiting =
        std::make_unique<exchange>(exchange{this, request, nullptr, nullptr, std::move(what)});
    exchange* const x = waiting.get();
    exchanges_.emplace(x, std::move(waiting));
    // evhttp does not read while a request is being served, so it would not notice a client that
    // gives up. We look ourselves: a connection that hangs must not stay for ever.
    const evutil_socket_t socket = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
    evhttp_connection_set_closecb(connection, &service::on_closed, x);
    x->gone.reset(made(event_new(base_.get(), socket, EV_CLOSED, &service::on_gone, x), "event"));
    event_add(x->gone.get(), nullptr);
    if (!answers) return;
    x->answer.reset(made(event_new(base_.get(), -1, 0, &service::on_time, x), "event"));
    const timeval delay{
        .tv_sec = static_cast<decltype(timeval::tv_sec)>(options_.delay.count() / 1000),
        .tv_usec = static_cast<decltype(timeval::tv_usec)>(options_.delay.count() % 1000 * 1000)};
    event_add(x->answer.get(), &delay);
  }

  static void on_time(evutil_socket_t, short, void* waiting) {
    auto* const x = static_cast<exchange*>(waiting);
    x->owner->answer(x);
  }

  // The client has gone: evhttp frees the connection and the request, and calls `on_closed`.
  static void on_gone(evutil_socket_t, short, void* waiting) {
    auto* const x = static_cast<exchange*>(waiting);
    evhttp_connection_free(evhttp_request_get_connection(x->request));
  }

  static void on_closed(evhttp_connection*, void* waiting) {
    auto* const x = static_cast<exchange*>(waiting);
    x->owner->exchanges_.erase(x);
  }

  void answer(exchange* x) {
    evhttp_request* const request = x->request;
    const response what = std::move(x->what);
    forget(x);
    evkeyvalq* const headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", "text/plain; charset=utf-8");
    if (!what.location.empty()) evhttp_add_header(headers, "Location", what.location.c_str());
    const buffer_ptr body(made(evbuffer_new(), "memory"));
    evbuffer_add_printf(body.get(), "%d %s: %s\n", what.status, what.reason,
                        evhttp_request_get_uri(request));
    evhttp_send_reply(request, what.status, what.reason, body.get());
  }

  void forget(exchange* x) {
    evhttp_connection_set_closecb(evhttp_request_get_connection(x->request), nullptr, nullptr);
    exchanges_.erase(x);
  }

  const http_server_options options_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> failures_;  // guarded by mutex_
  // Destroyed from the last to the first: events, connections, loop.
  event_base_ptr base_;
  evhttp_ptr http_;
  event_ptr stop_;
  std::unordered_map<exchange*, std::unique_ptr<exchange>> exchanges_;
  std::thread thread_;
};

http_server::http_server(http_server_options options)
    : service_(std::make_unique<service>(options)) {}

http_server::~http_server() = default;

std::uint16_t http_server::port() const noexcept { return service_->port(); }

std::string http_server::url(behaviour wanted, std::size_t item) const {
  static constexpr const char* names[] = {"answers", "recovers", "fails", "hangs", "moved"};
  return "http://127.0.0.1:" + std::to_string(port()) + "/" +
         names[static_cast<std::size_t>(wanted)] + "/" + std::to_string(item);
}

void http_server::forget_recoveries() { service_->forget_recoveries(); }

}  // namespace examples
