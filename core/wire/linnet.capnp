@0xb1c3d5f0a2846e97;
# The Linnet protocol, version 1: its messages, and what each side owes the other.
#
# ## Frames
#
# One message is one binary WebSocket frame of subprotocol "linnet.v1": an `Envelope` in Cap'n Proto's
# unpacked stream framing (segment table, then segments), with nothing before it and nothing after it,
# so that a frame that lies at an 8-byte boundary is read in place. permessage-deflate is never
# negotiated. Linnet writes one segment; a reader admits up to 16.
#
#   a frame                      at most 1 MiB, size a multiple of 8
#   a frame before `welcome`     at most 4 KiB, and 5 s for all of hello, challenge and proof
#   the payload of one chunk     1 to 262,144 bytes
#   a Text                       UTF-8 without control characters but tab and line feed, at most 4,096
#                                bytes; a *label* is a Text of at most 64 bytes, without any of them
#   pointers                     depth at most 8; each is followed once
#
# Digests are BLAKE2b-256 (32 bytes); assignment ids are 16 random bytes; keys are Ed25519 (32 bytes).
# Integers that count bytes count bytes of payload, without frames and headers. Times are durations:
# nobody's clock is compared with another's. A Float64 documented as "NaN = unknown" is finite or NaN;
# every other number is finite.
#
# A frame that breaks one of these rules is answered with `error` (code data or limit), and the
# connection is closed. A message that is well-formed but not wanted (an unknown assignment, a wrong
# size) is answered by the message that its comment names, and the connection lives on.
#
# ## Versions
#
# `hello` carries the versions that the participant speaks; the coordinator takes the highest that both
# speak and says it in `welcome`. If there is none it answers `error` with code version and its own
# range, and closes. hello, challenge, proof and error keep their meaning in every version.
# Within a version only additions are made: new fields (absent = the default here) and new members of
# the union. A reader ignores fields it does not know, and ignores a message whose union member it does
# not know; so a sender expects no answer to a member that is newer than the version in `welcome`.
# Ordinals are never reused.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("linnet::schema");

struct Envelope {
  union {
    # Session: who is there. hello, challenge, proof, welcome in this order, then anything.
    hello @0 :Hello;
    challenge @1 :Challenge;
    proof @2 :Proof;
    welcome @3 :Welcome;
    ping @4 :Ping;
    pong @5 :Pong;
    bye @6 :Bye;
    error @7 :Error;

    # Model: content-addressed bytes in chunks.
    modelWant @8 :ModelWant;
    modelOffer @9 :ModelOffer;
    modelChunk @10 :ModelChunk;

    # Round: who trains what.
    invite @11 :Invite;
    accept @12 :Accept;
    decline @13 :Decline;
    begin @14 :Begin;
    abort @15 :Abort;
    roundClosed @16 :RoundClosed;

    # Update: what training gave, and what became of it.
    updateBegin @17 :UpdateBegin;
    updateGo @18 :UpdateGo;
    updateChunk @19 :UpdateChunk;
    updateEnd @20 :UpdateEnd;
    updateVerdict @21 :UpdateVerdict;
    assignmentQuery @22 :AssignmentQuery;
    assignmentOpen @23 :AssignmentOpen;

    # Evaluation on data that participants hold back.
    evaluateRequest @24 :EvaluateRequest;
    evaluateReport @25 :EvaluateReport;

    # Reserved. A reader of this version ignores them, a writer never sends them. The pointer will be
    # that of a struct.

    # Secure aggregation: mask keys, encrypted shares, masked updates, the unmasking of the dropped.
    secureAdvertise @26 :AnyPointer;
    secureShares @27 :AnyPointer;
    secureMasked @28 :AnyPointer;
    secureUnmask @29 :AnyPointer;

    # Release: signed manifests of models that go out to be used, and how they fare.
    releaseOffer @30 :AnyPointer;
    releaseReport @31 :AnyPointer;

    # Edge: processes that fold for the root.
    edgeLease @32 :AnyPointer;
    edgePartial @33 :AnyPointer;
    edgeCommitted @34 :AnyPointer;
  }
}

# ---- Session

struct Hello {
  # participant -> coordinator, the first message of a connection.
  # Answer: challenge; or error (version, not-found: no such federation, permission: token).
  # The whole frame is at most 4,096 bytes.
  versionMin @0 :UInt16;   # lowest and highest protocol version spoken; 1 <= min <= max
  versionMax @1 :UInt16;
  federation @2 :Text;     # label; the federation wanted, empty = the coordinator's only one
  deviceKey @3 :Data;      # 32 bytes: Ed25519, made on first use and kept; names the participant
  token @4 :Text;          # enrolment token, at most 1,024 bytes; empty in an open federation
  name @5 :Text;           # label, for people
  runtime @6 :Text;        # label: "native/avx3", "wasm/relaxed", "python"
  examples @7 :UInt64;     # training examples held, 0 = not told
  properties @8 :List(Property);  # at most 32, for selection
}

struct Property {
  key @0 :Text;            # label, not empty
  value @1 :Text;          # at most 256 bytes
}

struct Challenge {
  # coordinator -> participant. Answer: proof.
  nonce @0 :Data;          # 32 random bytes, used once
}

struct Proof {
  # participant -> coordinator. Answer: welcome, or error (permission).
  signature @0 :Data;
  # 64 bytes: Ed25519 by the device key over "linnet.v1 challenge" (19 bytes), the nonce, and the
  # BLAKE2b-256 of the hello frame as it was sent.
}

struct Welcome {
  # coordinator -> participant: taken. A participant that still holds an unanswered assignment now asks
  # with assignmentQuery.
  version @0 :UInt16;      # the version of this connection
  federation @1 :Text;     # label
  modelName @2 :Text;      # label: the architecture, "mlp-2nn"
  round @3 :UInt64;        # last finished round, 0 = none
  model @4 :Data;          # digest of the current model's canonical bytes
  modelBytes @5 :UInt64;   # their number
  federationJson @6 :Text; # what participants may know of the federation file; canonical JSON
  pingIntervalMs @7 :UInt32;  # the coordinator pings this often, at least 1
}

struct Ping {
  # Either side, at any time. Answer: pong with the same nonce.
  nonce @0 :UInt64;
}

struct Pong {
  nonce @0 :UInt64;
}

struct Bye {
  # Either side: leaving on purpose; the connection is closed after it. No answer.
  reason @0 :Text;
  finished @1 :Bool;       # from a coordinator: the federation has reached its end, do not come back
}

struct Error {
  # Either side: the connection ends after this. No answer.
  code @0 :Code;
  message @1 :Text;        # what was found, what was wanted
  versionMin @2 :UInt16;   # the sender's own range; to be acted on with code version
  versionMax @3 :UInt16;
}

enum Code {
  # What the receiver may do about it.
  invalid @0;              # it is wrong and stays wrong: do not send it again
  notFound @1;
  unsupported @2;          # understood, but not offered
  data @3;                 # bytes that do not decode, values that are not finite
  limit @4;                # more than a stated limit admits
  io @5;
  unavailable @6;          # try again later
  version @7;              # no common version
  state @8;                # not possible now
  permission @9;           # credentials are missing or wrong
  internal @10;            # failed on the sender's side; nothing was changed
}

# ---- Model
#
# A model is its canonical bytes (a `.linnet` file), named by their digest, and never changes. A transfer
# resumes after a reconnect by (digest, offset). The receiver checks the digest of the whole before use.

struct ModelWant {
  # participant -> coordinator. Answer: modelOffer, then modelChunk from `offset` to the end, in order;
  # or error not-found as the coordinator no longer has it (then the participant waits for an invite).
  digest @0 :Data;
  offset @1 :UInt64;       # first byte wanted, below the model's bytes
}

struct ModelOffer {
  # coordinator -> participant: this is coming.
  digest @0 :Data;
  bytes @1 :UInt64;        # of the whole model
}

struct ModelChunk {
  # coordinator -> participant: bytes [offset, offset + size of data).
  digest @0 :Data;
  offset @1 :UInt64;
  data @2 :Data;           # 1 to 262,144 bytes
}

# ---- Round
#
# A participant holds at most one live assignment. An assignment is bound to its device key, round, attempt
# and base, and is good for one update; it ends with updateVerdict or abort.

struct TrainSettings {
  # How to train, the same for all participants of a round. A participant that will not (its own caps
  # on bytes, steps, seconds) or cannot answers decline.
  optimizer @0 :Text;      # label: sgd, momentum, nesterov, adam, adamw
  learningRate @1 :Float32;  # >= 0
  momentum @2 :Float32;    # for momentum and nesterov, >= 0
  weightDecay @3 :Float32; # gradient + weightDecay * weight, >= 0
  clipNorm @4 :Float32;    # of the loss's gradient, 0 = off
  batchSize @5 :UInt32;    # examples, at least 1
  epochs @6 :UInt32;       # passes over the participant's examples
  maxSteps @7 :UInt32;     # 0 = no limit
  client @8 :Text;         # label: how the strategy wants training done (org.linnet.client/1): sgd, prox
  clientConfig @9 :Text;   # the strategy's settings for it: canonical JSON, or empty
  clipValue @10 :Float32;  # of each element of the loss's gradient, before clipNorm; 0 = off
  proximal @11 :Float32;   # gradient + proximal * (weight - weight of the base), >= 0
  beta1 @12 :Float32 = 0.9;      # for adam and adamw, >= 0
  beta2 @13 :Float32 = 0.999;    # for adam and adamw, >= 0
  epsilon @14 :Float32 = 1e-8;   # for adam and adamw, >= 0
  decayWeightsOnly @15 :Bool;    # weightDecay spares tensors of one dimension
  schedule @16 :Text;      # of the learning rate over the steps of the round: "cosine:steps=100,end=0.1", empty = constant
}

struct CodecSettings {
  # How an update is compressed: f32 with 32 bits, bf16 with 16, int8 with 8, eden with 1 to 4.
  kind @0 :Codec;
  bits @1 :UInt8;
}

enum Codec {
  f32 @0;
  bf16 @1;
  int8 @2;
  eden @3;
}

struct Invite {
  # coordinator -> participant: an assignment. Answer: accept or decline.
  assignment @0 :Data;     # 16 bytes
  round @1 :UInt64;        # counts from 1
  attempt @2 :UInt32;      # counts from 0; a round that had too few updates is tried again
  base @3 :Data;           # digest of the model to start from; get it by modelWant unless it is held
  baseBytes @4 :UInt64;
  roundSeed @5 :Data;      # 32 bytes: signs of the codec, order of examples; never for privacy
  train @6 :TrainSettings;
  codec @7 :CodecSettings;
  maxAbs @8 :Float32;      # > 0: an update with an element beyond it in magnitude is refused
  maxExamples @9 :UInt64;  # an update that claims more is refused
  deadlineMs @10 :UInt32;  # from the receipt of this, for the end of the upload; at least 1
}

struct Accept {
  # participant -> coordinator: will train. Answer: begin or abort.
  assignment @0 :Data;
}

struct Decline {
  # participant -> coordinator: will not, or no longer can. The assignment has ended. No answer.
  assignment @0 :Data;
  reason @1 :Text;
}

struct Begin {
  # coordinator -> participant: train now. Answer, when trained: updateBegin.
  assignment @0 :Data;
}

struct Abort {
  # coordinator -> participant: stop working on this, nothing of it will be counted. The assignment has
  # ended and what was staged under it is forgotten. No answer.
  assignment @0 :Data;
  reason @1 :Text;
}

struct RoundClosed {
  # coordinator -> all, after the commit: a round is over and this is the model now. No answer.
  round @0 :UInt64;
  model @1 :Data;          # digest
  modelBytes @2 :UInt64;
  counted @3 :UInt32;      # updates in the model
  invited @4 :UInt32;
  accuracy @5 :Float64;    # in 0..1, NaN = not evaluated in this round
  loss @6 :Float64;        # nats per example, NaN = not evaluated
  trainLoss @7 :Float64;   # mean over the counted updates, NaN = unknown
  uplinkBytes @8 :UInt64;  # frames of this round, all participants
  downlinkBytes @9 :UInt64;
  seconds @10 :Float64;    # from the first invite to the commit, NaN = unknown
  connected @11 :UInt32;   # participants connected now
  targetReached @12 :Bool;
  last @13 :Bool;          # no further round follows; bye comes next
}

# ---- Update
#
# begin, go, chunks, end, verdict. The participant keeps the encoded update until its verdict. After a
# reconnect it asks with assignmentQuery and, when the assignment is open, sends updateBegin again; go then
# says how much of it is still held.

struct UpdateBegin {
  # participant -> coordinator: this is ready. Answer: updateGo (at once, or when there is room for its
  # bytes), or updateVerdict (refused, late, void, alreadyCounted).
  assignment @0 :Data;
  bytes @1 :UInt64;        # encoded; must be what codec and elements give
  codec @2 :CodecSettings; # must be the invite's
  elements @3 :UInt64;     # must be the model's parameters
  examples @4 :UInt64;     # trained on, in 1..maxExamples; the weight of the update
  steps @5 :UInt64;        # optimizer steps made
  lossBefore @6 :Float64;  # nats per example over the first and last epoch, NaN = unknown
  lossAfter @7 :Float64;
  trainSeconds @8 :Float64;  # NaN = unknown
}

struct UpdateGo {
  # coordinator -> participant. Answer: updateChunk from `offset` on, in order, then updateEnd.
  assignment @0 :Data;
  offset @1 :UInt64;
}

struct UpdateChunk {
  # participant -> coordinator: bytes [offset, offset + size of data) of the encoded update.
  assignment @0 :Data;
  offset @1 :UInt64;       # where the previous chunk ended, or what go said
  data @2 :Data;           # 1 to 262,144 bytes
}

struct UpdateEnd {
  # participant -> coordinator: all of it was sent. Answer: updateVerdict.
  assignment @0 :Data;
  digest @1 :Data;         # of the encoded bytes
}

struct UpdateVerdict {
  # coordinator -> participant: the end of an assignment. No answer. State that training staged (error
  # feedback, control variates) becomes real on counted and alreadyCounted, and is forgotten otherwise.
  assignment @0 :Data;
  verdict @1 :Verdict;
  code @2 :Code;           # with refused
  message @3 :Text;        # with refused: what was found, what was wanted
  round @4 :UInt64;        # the assignment's round, 0 = not known any more
}

enum Verdict {
  counted @0;              # in exactly one committed partial; sent only after that commit
  alreadyCounted @1;       # a resend of a counted one
  refused @2;              # wrong; `code` and `message` say why
  late @3;                 # the round had all it wanted, or was over
  void @4;                 # the attempt was given up, or the assignment is not known: nothing is folded
}

struct AssignmentQuery {
  # participant -> coordinator after a reconnect: what became of this? Answer: assignmentOpen or
  # updateVerdict.
  assignment @0 :Data;
}

struct AssignmentOpen {
  # coordinator -> participant: still wanted. Train on, or upload (again) with updateBegin.
  assignment @0 :Data;
}

# ---- Evaluation

struct EvaluateRequest {
  # coordinator -> participant: measure this model on the held-out split. Answer: evaluateReport; none
  # from a participant that holds nothing back.
  round @0 :UInt64;
  model @1 :Data;          # digest; get it by modelWant unless it is held
  modelBytes @2 :UInt64;
  deadlineMs @3 :UInt32;   # from the receipt of this, at least 1
}

struct EvaluateReport {
  # participant -> coordinator. No answer.
  round @0 :UInt64;
  model @1 :Data;
  examples @2 :UInt64;     # at least 1
  correct @3 :UInt64;      # at most examples
  lossSum @4 :Float64;     # nats, over examples; a loss that is not finite is told as the largest double
}
