# Split: layers of a session that run on the coordinator. Vectors travel as payloads of f32.
# Limits on lengths and the meaning of each field: common/wire/messages.h. Rules of change: README.md.
@0xe37b92a5406d1f8c;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("skein::schema");

struct SplitOpen {
  session @0 :UInt64;
  artifact @1 :Data;
  firstLayer @2 :UInt32;
  endLayer @3 :UInt32;
}

struct SplitOpened {
  next @0 :UInt64;
}

struct SplitStep {  # payload: count times (x, v_first)
  session @0 :UInt64;
  step @1 :UInt64;
  count @2 :UInt32;
}

struct SplitResult {  # payload: count times x
  session @0 :UInt64;
  step @1 :UInt64;
  count @2 :UInt32;
}

struct SplitClose {
  session @0 :UInt64;
}
