# Control: enrolment, heartbeats, and the two replies every request may get.
# Limits on lengths and the meaning of each field: common/wire/messages.h. Rules of change: README.md.
@0xd5a1f0c3b7e24961;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("skein::schema");

enum DeviceStep {  # the ordinal is the number in messages.h
  unset @0;        # never valid on the wire
  pending @1;
  offered @2;
  downloading @3;
  staged @4;
  evaluating @5;
  committed @6;
  failed @7;
  rolledBack @8;
}

enum ErrorCode {  # the ordinal is Errc in common/base/result.h
  unset @0;       # never valid on the wire
  usage @1;
  corrupt @2;
  unsupported @3;
  refused @4;
  notFound @5;
  unavailable @6;
  deadline @7;
  cancelled @8;
  outOfRoom @9;
  outOfStep @10;
  conflict @11;
  input @12;
  notSo @13;
}

struct EnrolRequest {
  token @0 :Text;
  deviceName @1 :Text;
  signingRequestPem @2 :Text;
}

struct EnrolReply {
  device @0 :UInt64;
  certificatePem @1 :Text;
  authorityPem @2 :Text;
  artifactKey @3 :Data;  # 32 bytes, Ed25519
}

struct Label {
  name @0 :Text;
  value @1 :Text;
}

struct Inventory {
  softwareVersion @0 :Text;
  isa @1 :Text;
  threads @2 :UInt32;
  memoryBytes @3 :UInt64;
  freeDiskBytes @4 :UInt64;
  labels @5 :List(Label);
}

struct StepReport {
  rollout @0 :UInt64;
  artifact @1 :Data;  # 32 bytes, SHA-256 of the manifest
  step @2 :DeviceStep;
  reason @3 :Text;
  bytesFetched @4 :UInt64;
  pagesFetched @5 :UInt32;
}

struct Heartbeat {
  inventory @0 :Inventory;
  active @1 :Data;    # absent, or 32 bytes
  previous @2 :Data;  # absent, or 32 bytes
  slotGeneration @3 :UInt64;
  steps @4 :List(StepReport);
}

struct UpdateOffer {
  rollout @0 :UInt64;
  artifact @1 :Data;
  totalBytes @2 :UInt64;
}

struct RoundOffer {
  round @0 :UInt64;
  artifact @1 :Data;
  learningRate @2 :Float32;
  epochs @3 :UInt32;
  context @4 :UInt32;
  clip @5 :Float32;
  maxTokens @6 :UInt32;
}

struct RecordedStep {
  rollout @0 :UInt64;
  step @1 :DeviceStep;
}

struct HeartbeatReply {
  wallSeconds @0 :Int64;
  intervalMs @1 :UInt32;
  recorded @2 :List(RecordedStep);
  offer @3 :UpdateOffer;  # may be absent
  round @4 :RoundOffer;   # may be absent
}

struct Ack {}

struct ErrorReply {
  code @0 :ErrorCode;
  what @1 :Text;
  where @2 :Text;
  remedy @3 :Text;
}
