// Sessions of linnet.h around a coordinator, without sockets or threads: events are carried by
// hand.
#ifndef LINNET_TESTS_CAPI_TABLE_H_
#define LINNET_TESTS_CAPI_TABLE_H_

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "linnet/linnet.h"
#include "sim/memory_store.h"
#include "support/federation.h"

namespace linnet::testing {

class Table {
 public:
  explicit Table(const std::string& federation_json) {
    CoordinatorOptions options;
    options.federation = Must(ParseFederation(federation_json));
    options.initial = Must(BuiltinModel(options.federation.model.builtin, SeedFromInt(1)));
    options.strategy = *Must(BuiltinTable().Find(options.federation.strategy.id));
    options.secret = SeedFromInt(42);
    coordinator = Must(Coordinator::Create(std::move(options)));
    Do(coordinator->Start(now_ms));
  }
  ~Table() {
    for (Seat& seat : seats) linnet_destroy_session(seat.session);
  }

  // A session that is started and connected once Settle runs; `prepare` sets its data.
  template <typename Prepare>
  linnet_session* Add(const Prepare& prepare) {
    linnet_session* session = linnet_create_session(R"({"followModel": true})", nullptr, 0);
    EXPECT_NE(session, nullptr) << linnet_last_error();
    prepare(session);
    seats.push_back({session, {}, {}});
    EXPECT_EQ(linnet_start(session, now_ms), LINNET_OK);
    return session;
  }
  linnet_session* AddWriter(uint32_t writer) {
    return Add([&](linnet_session* session) {
      EXPECT_EQ(linnet_set_strokes(session, 1, writer, writer, 30), LINNET_OK);
    });
  }

  // Carries everything until nothing moves any more.
  void Settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t i = 0; i < seats.size(); ++i) {
        while (linnet_run(seats[i].session, 100, now_ms) > 0) {
        }
        moved |= Drain(i);
      }
      for (size_t i = 0; i < seats.size(); ++i) {
        auto frames = std::exchange(seats[i].inbox, {});
        moved |= !frames.empty();
        for (const SharedBytes& frame : frames)
          EXPECT_EQ(linnet_on_frame(seats[i].session, frame->data(), frame->size(), now_ms),
                    LINNET_OK)
              << linnet_last_error();
      }
    }
  }
  // Lets the coordinator's earliest timers fire until `done`; false when it never comes.
  template <typename Done>
  bool PassUntil(const Done& done) {
    Settle();
    for (int i = 0; i < 100; ++i) {
      if (done()) return true;
      const auto due = std::min_element(timers.begin(), timers.end(),
                                        [](auto& a, auto& b) { return a.second < b.second; });
      if (due == timers.end()) return false;
      now_ms = std::max(now_ms, due->second);
      const TimerId timer = due->first;
      timers.erase(due);
      Do(coordinator->Handle(TimerFired{timer}, now_ms));
      Settle();
    }
    return false;
  }
  bool Finish() {
    return PassUntil([&] { return coordinator->finished(); });
  }
  uint64_t round() const { return coordinator->Status().round; }
  Model Committed() const { return Must(LoadModel(*coordinator->model())); }
  // What a session told of a kind.
  std::vector<Json> Told(size_t seat, std::string_view kind) const {
    std::vector<Json> found;
    for (const Json& notice : seats[seat].notices)
      if (notice.Find("kind")->as_string() == kind) found.push_back(notice);
    return found;
  }

  std::unique_ptr<Coordinator> coordinator;
  uint64_t now_ms = 1000;

 private:
  struct Seat {
    linnet_session* session;
    std::deque<SharedBytes> inbox;
    std::vector<Json> notices;
  };

  bool Drain(size_t seat) {
    linnet_session* session = seats[seat].session;
    linnet_action action;
    bool moved = false;
    while (linnet_next_action(session, &action) == LINNET_OK && action.kind != LINNET_ACTION_NONE) {
      moved = true;
      if (action.kind == LINNET_ACTION_CONNECT) {
        Do(coordinator->Handle(Connected{seat + 1}, now_ms));
        linnet_on_connected(session, now_ms);
      } else if (action.kind == LINNET_ACTION_SEND) {
        const Bytes frame(action.data, action.data + action.size);
        Do(coordinator->Handle(FrameReceived{seat + 1, frame}, now_ms));
      } else if (action.kind == LINNET_ACTION_PERSIST) {
        linnet_on_stored(session, action.id, 1, now_ms);
      } else if (action.kind == LINNET_ACTION_NOTICE) {
        seats[seat].notices.push_back(Must(Json::Parse(AsText({action.data, action.size}))));
      }
    }
    return moved;
  }
  void Do(std::vector<Coordinator::Action> actions) {
    for (Coordinator::Action& action : actions) {
      if (auto* send = std::get_if<Send>(&action)) {
        seats[send->connection - 1].inbox.push_back(send->frame);
      } else if (auto* set = std::get_if<SetTimer>(&action)) {
        timers[set->timer] = now_ms + set->delay_ms;
      } else if (auto* cancel = std::get_if<CancelTimer>(&action)) {
        timers.erase(cancel->timer);
      } else if (auto* persist = std::get_if<Persist>(&action)) {
        Do(coordinator->Handle(Stored{persist->ticket, {}}, now_ms));
      } else if (auto* compute = std::get_if<linnet::Compute>(&action)) {
        while (compute->work->Run(1000)) {
        }
        Do(coordinator->Handle(Computed{compute->work}, now_ms));
      }
    }
  }

  std::vector<Seat> seats;
  std::map<TimerId, uint64_t> timers;
};

}  // namespace linnet::testing

#endif  // LINNET_TESTS_CAPI_TABLE_H_
