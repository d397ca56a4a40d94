# Federation: the resumable upload of one device's update for one round.
# Limits on lengths and the meaning of each field: common/wire/messages.h. Rules of change: README.md.
@0x9c06e8d7513fb2a4;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("skein::schema");

struct UploadBegin {
  round @0 :UInt64;
  content @1 :Data;  # 32 bytes, SHA-256 of the packed update
  bytes @2 :UInt64;
  rawBytes @3 :UInt64;
  tokens @4 :UInt64;
  lossBefore @5 :Float64;
  lossAfter @6 :Float64;
}

struct UploadChunk {  # payload: bytes at `offset`
  round @0 :UInt64;
  offset @1 :UInt64;
}

struct UploadStatus {
  haveBytes @0 :UInt64;
  complete @1 :Bool;
}
