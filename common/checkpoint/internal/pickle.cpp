// A pickle is a program for a stack machine. torch.save(state_dict) needs about thirty of its
// opcodes: constants, tuples, one dictionary, references to what was made before (the memo), and
// REDUCE, "call this with that". Python would import and call anything; here the callee must be
// one of the known names below, and the call only fills in a Value of our own. BUILD carries
// OrderedDict's _metadata, which nothing needs: it is dropped.
#include "common/checkpoint/internal/pickle.h"

#include <array>
#include <unordered_map>

#include "common/checkpoint/checkpoint.h"

namespace skein {
namespace {

enum class Kind : std::uint8_t {
  kNone,
  kBool,
  kInt,
  kText,
  kTuple,
  kDict,
  kName,
  kStorage,
  kTensor
};
enum class Known : std::uint8_t { kDict, kTensor, kParameter, kStorage };

struct KnownName {
  std::string_view module;
  std::string_view name;
  Known what;
  Format format = Format::kF32;
};
constexpr std::array kKnownNames = {
    KnownName{"collections", "OrderedDict", Known::kDict},
    KnownName{"torch._utils", "_rebuild_tensor_v2", Known::kTensor},
    KnownName{"torch._utils", "_rebuild_parameter", Known::kParameter},
    KnownName{"torch", "FloatStorage", Known::kStorage, Format::kF32},
    KnownName{"torch", "HalfStorage", Known::kStorage, Format::kF16},
    KnownName{"torch", "BFloat16Storage", Known::kStorage, Format::kBf16},
};

using ValueId = std::uint32_t;

struct Value {
  Kind kind = Kind::kNone;
  std::int64_t number = 0;     // kBool, kInt; kName: index into kKnownNames; kStorage: elements
  std::string_view text = {};  // kText; kStorage: key
  std::vector<ValueId> items = {};  // kTuple; kDict: key, value, ...; kTensor: its arguments;
                                    // kStorage: its class
};

class Machine {
 public:
  explicit Machine(const Source& source) : source_(source), code_(source.bytes) {}
  Result<std::vector<PickledTensor>> run();

 private:
  Result<void> step(std::uint8_t opcode);
  Result<void> step_more(std::uint8_t opcode);

  Result<void> push(Value value);
  Result<ValueId> pop();
  Result<std::vector<ValueId>> pop_to_mark();
  Result<void> push_id(ValueId id);

  template <class T>
  Result<std::uint64_t> operand();
  template <class T>
  Result<void> push_int();
  template <class T>
  Result<std::string_view> text_operand();
  Result<std::string_view> line_operand();

  Result<void> protocol();
  Result<void> frame();
  Result<void> mark();
  Result<void> long_int();
  Result<void> name_from_lines();
  Result<void> name_from_stack();
  Result<void> push_name(std::string_view module, std::string_view name);
  Result<void> tuple_to_mark();
  Result<void> tuple_of(std::size_t count);
  Result<void> put(std::uint64_t index);
  Result<void> get(std::uint64_t index);
  Result<void> storage();
  Result<void> reduce();
  Result<void> set_items(const std::vector<ValueId>& items);
  Result<void> build();

  bool is(ValueId id, Kind kind) const { return values_[id].kind == kind; }
  Result<PickledTensor> describe(ValueId name, ValueId tensor);
  Result<std::vector<std::uint64_t>> sizes(ValueId tuple);
  tl::unexpected<Error> broken(std::string what) const {
    return source_.corrupt(std::move(what), "data.pkl " + at_byte(opcode_at_));
  }
  tl::unexpected<Error> refused(std::string what) const {
    return source_.unsupported(std::move(what), "data.pkl " + at_byte(opcode_at_),
                               "save only the model's state_dict() of f32, f16 or bf16 tensors "
                               "with torch.save");
  }

  const Source& source_;
  ByteReader code_;
  std::size_t opcode_at_ = 0;
  std::vector<Value> values_;
  std::vector<ValueId> stack_;
  std::vector<std::size_t> marks_;  // stack heights
  std::unordered_map<std::uint64_t, ValueId> memo_;
};

Result<void> Machine::push_id(ValueId id) {
  if (stack_.size() >= kMaxPickleValues) return broken("the pickle's stack grows without end");
  stack_.push_back(id);
  return {};
}

Result<void> Machine::push(Value value) {
  if (values_.size() >= kMaxPickleValues) return broken("the pickle makes too many values");
  values_.push_back(std::move(value));
  return push_id(static_cast<ValueId>(values_.size() - 1));
}

Result<ValueId> Machine::pop() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) return broken("the pickle takes from an empty stack");
  const ValueId id = stack_.back();
  stack_.pop_back();
  return id;
}

Result<std::vector<ValueId>> Machine::pop_to_mark() {
  if (marks_.empty()) return broken("the pickle closes a group it never opened");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<ValueId> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

template <class T>
Result<std::uint64_t> Machine::operand() {
  const auto value = code_.read<T>();
  if (!value) return broken("the pickle breaks off");
  return static_cast<std::uint64_t>(*value);
}

template <class T>
Result<void> Machine::push_int() {
  const auto value = code_.read<T>();
  if (!value) return broken("the pickle breaks off");
  return push({.kind = Kind::kInt, .number = *value});
}

template <class T>
Result<std::string_view> Machine::text_operand() {
  TRY(const std::uint64_t bytes, operand<T>());
  const auto text = code_.take(bytes);
  if (!text) return broken("the pickle breaks off inside a string");
  return as_text(*text);
}

Result<std::string_view> Machine::line_operand() {
  const std::string_view rest = as_text(source_.bytes.subspan(code_.at()));
  const std::size_t bytes = rest.find('\n');
  if (bytes == std::string_view::npos) return broken("the pickle breaks off inside a name");
  code_.take(bytes + 1);
  return rest.substr(0, bytes);
}

Result<void> Machine::protocol() {
  TRY(const std::uint64_t version, operand<std::uint8_t>());
  if (version < 2 || version > 5) {
    return refused("pickle protocol " + std::to_string(version) + " is not one of 2 to 5");
  }
  return {};
}

Result<void> Machine::frame() {
  TRY(const std::uint64_t bytes, operand<std::uint64_t>());
  if (bytes > code_.left()) return broken("a pickle frame is longer than the pickle");
  return {};
}

Result<void> Machine::mark() {
  if (marks_.size() >= kMaxPickleMarks) return broken("the pickle nests too deeply");
  marks_.push_back(stack_.size());
  return {};
}

Result<void> Machine::long_int() {
  TRY(const std::uint64_t bytes, operand<std::uint8_t>());
  if (bytes > sizeof(std::int64_t)) return refused("the pickle holds an integer past 64 bits");
  const auto raw = code_.take(bytes);
  if (!raw) return broken("the pickle breaks off inside an integer");
  const bool negative = !raw->empty() && (raw->back() & std::byte{0x80}) != std::byte{0};
  std::int64_t number = negative ? -1 : 0;  // little-endian, sign extended
  if (!raw->empty()) std::memcpy(&number, raw->data(), raw->size());
  return push({.kind = Kind::kInt, .number = number});
}

Result<void> Machine::push_name(std::string_view module, std::string_view name) {
  for (std::size_t i = 0; i < kKnownNames.size(); ++i) {
    if (kKnownNames[i].module == module && kKnownNames[i].name == name) {
      return push({.kind = Kind::kName, .number = static_cast<std::int64_t>(i)});
    }
  }
  return refused("the pickle asks for " + quoted(std::string(module) + "." + std::string(name)) +
                 ", which a state dict of weights does not need");
}

Result<void> Machine::name_from_lines() {
  TRY(const std::string_view module, line_operand());
  TRY(const std::string_view name, line_operand());
  return push_name(module, name);
}

Result<void> Machine::name_from_stack() {
  TRY(const ValueId name, pop());
  TRY(const ValueId module, pop());
  if (!is(name, Kind::kText) || !is(module, Kind::kText)) {
    return broken("the pickle names something by what is not text");
  }
  return push_name(values_[module].text, values_[name].text);
}

Result<void> Machine::tuple_to_mark() {
  TRY(std::vector<ValueId> items, pop_to_mark());
  return push({.kind = Kind::kTuple, .items = std::move(items)});
}

Result<void> Machine::tuple_of(std::size_t count) {
  std::vector<ValueId> items(count);
  for (std::size_t i = count; i-- > 0;) {
    TRY(items[i], pop());
  }
  return push({.kind = Kind::kTuple, .items = std::move(items)});
}

Result<void> Machine::put(std::uint64_t index) {
  if (stack_.empty()) return broken("the pickle remembers what is not there");
  if (memo_.size() >= kMaxPickleMemo) return broken("the pickle remembers too much");
  memo_[index] = stack_.back();
  return {};
}

Result<void> Machine::get(std::uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) return broken("the pickle recalls what it never remembered");
  return push_id(found->second);
}

// BINPERSID: ('storage', class, key, location, elements).
Result<void> Machine::storage() {
  TRY(const ValueId id, pop());
  const std::vector<ValueId>& items = values_[id].items;
  if (!is(id, Kind::kTuple) || items.size() != 5 || !is(items[0], Kind::kText) ||
      values_[items[0]].text != "storage" || !is(items[1], Kind::kName) ||
      !is(items[2], Kind::kText) || !is(items[4], Kind::kInt)) {
    return broken("the pickle refers to a storage in an unknown way");
  }
  const KnownName& known = kKnownNames[static_cast<std::size_t>(values_[items[1]].number)];
  if (known.what != Known::kStorage || values_[items[4]].number < 0) {
    return broken("the pickle refers to a storage in an unknown way");
  }
  return push({.kind = Kind::kStorage,
               .number = values_[items[4]].number,
               .text = values_[items[2]].text,
               .items = {items[1]}});
}

Result<void> Machine::reduce() {
  TRY(const ValueId arguments, pop());
  TRY(const ValueId callee, pop());
  if (!is(callee, Kind::kName) || !is(arguments, Kind::kTuple)) {
    return broken("the pickle calls what cannot be called");
  }
  const std::vector<ValueId>& items = values_[arguments].items;  // checked before it is copied
  switch (kKnownNames[static_cast<std::size_t>(values_[callee].number)].what) {
    case Known::kDict:
      if (!items.empty()) return refused("the pickle makes a dictionary from arguments");
      return push({.kind = Kind::kDict});
    case Known::kTensor:  // storage, first element, shape, strides, requires_grad, hooks, ...
      if (items.size() < 6 || items.size() > 7 || !is(items[0], Kind::kStorage) ||
          !is(items[1], Kind::kInt) || !is(items[2], Kind::kTuple) || !is(items[3], Kind::kTuple)) {
        return broken("the pickle makes a tensor from the wrong parts");
      }
      return push({.kind = Kind::kTensor, .items = items});
    case Known::kParameter:  // tensor, requires_grad, hooks
      if (items.size() != 3 || !is(items[0], Kind::kTensor)) {
        return broken("the pickle makes a parameter from what is not a tensor");
      }
      return push_id(items[0]);
    case Known::kStorage:
      break;
  }
  return broken("the pickle calls a storage class");
}

Result<void> Machine::set_items(const std::vector<ValueId>& items) {
  if (stack_.empty() || !is(stack_.back(), Kind::kDict) || items.size() % 2 != 0) {
    return broken("the pickle fills in what is not a dictionary");
  }
  std::vector<ValueId>& into = values_[stack_.back()].items;
  into.insert(into.end(), items.begin(), items.end());
  return {};
}

Result<void> Machine::build() {
  TRY_VOID(pop());
  if (stack_.empty() || !is(stack_.back(), Kind::kDict)) {
    return broken("the pickle sets attributes of what is not a dictionary");
  }
  return {};
}

Result<void> Machine::step(std::uint8_t opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      return protocol();
    case 0x95:  // FRAME
      return frame();
    case '(':  // MARK
      return mark();
    case 'N':  // NONE
      return push({});
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      return push({.kind = Kind::kBool, .number = opcode == 0x88});
    case 'J':  // BININT
      return push_int<std::int32_t>();
    case 'K':  // BININT1
      return push_int<std::uint8_t>();
    case 'M':  // BININT2
      return push_int<std::uint16_t>();
    case 0x8a:  // LONG1
      return long_int();
    case 'X': {  // BINUNICODE
      TRY(const std::string_view text, text_operand<std::uint32_t>());
      return push({.kind = Kind::kText, .text = text});
    }
    case 0x8c: {  // SHORT_BINUNICODE
      TRY(const std::string_view text, text_operand<std::uint8_t>());
      return push({.kind = Kind::kText, .text = text});
    }
    case 'c':  // GLOBAL
      return name_from_lines();
    case 0x93:  // STACK_GLOBAL
      return name_from_stack();
    default:
      return step_more(opcode);
  }
}

Result<void> Machine::step_more(std::uint8_t opcode) {
  switch (opcode) {
    case '}':  // EMPTY_DICT
      return push({.kind = Kind::kDict});
    case ')':  // EMPTY_TUPLE
      return push({.kind = Kind::kTuple});
    case 't':  // TUPLE
      return tuple_to_mark();
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      return tuple_of(opcode - 0x84U);
    case 'q': {  // BINPUT
      TRY(const std::uint64_t index, operand<std::uint8_t>());
      return put(index);
    }
    case 'r': {  // LONG_BINPUT
      TRY(const std::uint64_t index, operand<std::uint32_t>());
      return put(index);
    }
    case 0x94:  // MEMOIZE
      return put(memo_.size());
    case 'h': {  // BINGET
      TRY(const std::uint64_t index, operand<std::uint8_t>());
      return get(index);
    }
    case 'j': {  // LONG_BINGET
      TRY(const std::uint64_t index, operand<std::uint32_t>());
      return get(index);
    }
    case 'Q':  // BINPERSID
      return storage();
    case 'R':  // REDUCE
      return reduce();
    case 's': {  // SETITEM
      TRY(const ValueId value, pop());
      TRY(const ValueId key, pop());
      return set_items({key, value});
    }
    case 'u': {  // SETITEMS
      TRY(const std::vector<ValueId> items, pop_to_mark());
      return set_items(items);
    }
    case 'b':  // BUILD
      return build();
    default: {
      const std::byte code{opcode};
      return refused("the pickle uses opcode 0x" + to_hex(ByteView(&code, 1)) +
                     ", which a state dict of weights does not need");
    }
  }
}

Result<std::vector<std::uint64_t>> Machine::sizes(ValueId tuple) {
  std::vector<std::uint64_t> out;
  // Shared tuples make this a product of two lengths unless one is bounded.
  if (values_[tuple].items.size() > kMaxTensorRank)
    return broken("a tensor has too many dimensions");
  for (const ValueId item : values_[tuple].items) {
    if (!is(item, Kind::kInt) || values_[item].number < 0) {
      return broken("a tensor's shape or stride is not a size");
    }
    out.push_back(static_cast<std::uint64_t>(values_[item].number));
  }
  return out;
}

Result<PickledTensor> Machine::describe(ValueId name, ValueId tensor) {
  if (!is(name, Kind::kText)) return refused("a key of the state dict is not text");
  if (!is(tensor, Kind::kTensor)) {
    return refused("state dict entry " + quoted(values_[name].text) + " is not a tensor");
  }
  const std::vector<ValueId>& parts = values_[tensor].items;
  const Value& storage = values_[parts[0]];
  const Value& storage_class = values_[storage.items[0]];
  if (values_[parts[1]].number < 0) return broken("a tensor begins before its storage");
  PickledTensor out{.name = values_[name].text,
                    .storage_key = storage.text,
                    .format = kKnownNames[static_cast<std::size_t>(storage_class.number)].format,
                    .storage_elements = static_cast<std::uint64_t>(storage.number),
                    .first_element = static_cast<std::uint64_t>(values_[parts[1]].number)};
  TRY(out.shape, sizes(parts[2]));
  TRY(out.strides, sizes(parts[3]));
  return out;
}

Result<std::vector<PickledTensor>> Machine::run() {
  while (true) {
    opcode_at_ = code_.at();
    const auto opcode = code_.read<std::uint8_t>();
    if (!opcode) return broken("the pickle has no end");
    if (*opcode == '.') break;
    TRY_VOID(step(*opcode));
  }
  TRY(const ValueId top, pop());
  if (!is(top, Kind::kDict)) return refused("the file holds something other than a state dict");
  const std::vector<ValueId>& items = values_[top].items;
  std::vector<PickledTensor> tensors;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    TRY(PickledTensor tensor, describe(items[i], items[i + 1]));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

Result<std::vector<PickledTensor>> read_state_dict(const Source& source) {
  if (source.bytes.size() > kMaxPickleBytes) {
    return source.corrupt("the pickle is larger than any state dict's", "data.pkl");
  }
  return Machine(source).run();
}

}  // namespace skein
