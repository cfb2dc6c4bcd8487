#include "fed/participant.h"

namespace linnet {

std::string_view KindName(ParticipantNotice::Kind kind) {
  using Kind = ParticipantNotice::Kind;
  switch (kind) {
    case Kind::kConnecting:
      return "connecting";
    case Kind::kWelcomed:
      return "welcomed";
    case Kind::kDisconnected:
      return "disconnected";
    case Kind::kInvited:
      return "invited";
    case Kind::kModelReady:
      return "model-ready";
    case Kind::kTraining:
      return "training";
    case Kind::kUploading:
      return "uploading";
    case Kind::kVerdict:
      return "verdict";
    case Kind::kRoundClosed:
      return "round-closed";
    case Kind::kEvaluated:
      return "evaluated";
    case Kind::kError:
      return "error";
    case Kind::kFinished:
      return "finished";
  }
  return "unknown";
}

}  // namespace linnet
