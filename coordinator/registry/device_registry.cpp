#include "coordinator/registry/device_registry.h"

#include <algorithm>

#include "common/crypto/sha256.h"

namespace skein {

namespace {

constexpr std::size_t kSecretBytes = 16;
constexpr std::int64_t kSeenInterval = 60;  // seconds between writes of last_seen alone
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxLabel = 128;

std::string no_device(DeviceId id) { return "there is no device " + std::to_string(id.value()); }

std::string_view secret_of(std::string_view token) { return token.substr(0, token.find('.')); }

}  // namespace

DeviceRegistry::DeviceRegistry(Env env, Store& store, Authority& authority)
    : env_(env), store_(store), authority_(authority) {}

std::int64_t DeviceRegistry::now() const {
  return env_.clock.wall_now().time_since_epoch().count();
}

Result<void> DeviceRegistry::restore() {
  TRY(auto rows, store_.devices());
  for (DeviceRow& row : rows) {
    written_[row.id] = row.last_seen;
    devices_.insert_or_assign(row.id, std::move(row));
  }
  return store_.remove_unused_tokens(now());
}

Result<DeviceRegistry::Token> DeviceRegistry::make_token(std::chrono::seconds life) {
  const auto seconds = life.count();
  if (seconds <= 0 || seconds > static_cast<std::int64_t>(kMaxTokenSeconds)) {
    return fail(Errc::kUsage,
                "a token's life must be 1 to " + std::to_string(kMaxTokenSeconds) + " seconds");
  }
  std::array<std::byte, kSecretBytes> random{};
  env_.random.fill(random);
  const std::string secret = to_hex(random);
  TokenRow row;
  row.secret_hash = sha256(as_bytes(secret));
  row.created = now();
  row.expires = row.created + seconds;
  TRY_VOID(store_.add_token(row));
  return Token{secret + "." + authority_.fingerprint().hex(), row.expires};
}

Result<EnrolReply> DeviceRegistry::enrol(const EnrolRequest& request) {
  auto asked = parse_signing_request(request.signing_request_pem);
  if (!asked) return tl::unexpected(within("the signing request", std::move(asked.error())));
  const Digest hash = sha256(as_bytes(secret_of(request.token)));
  TRY(const auto token, store_.token(hash));
  if (!token) {
    return fail(Errc::kRefused, "the enrolment token is not known", {},
                "ask for a new one: `skein device token`");
  }
  if (token->used_by) return enrol_again(*token, asked->public_key);
  if (token->expires <= now()) {
    return fail(Errc::kRefused, "the enrolment token has expired", {},
                "ask for a new one: `skein device token`");
  }
  return enrol_new(*token, asked->public_key, request.device_name.substr(0, kMaxName));
}

Result<EnrolReply> DeviceRegistry::enrol_again(const TokenRow& token, const PublicKey& key) const {
  const DeviceRow* device = find(*token.used_by);
  if (device == nullptr || device->public_key != key || device->state == DeviceState::kRevoked) {
    return fail(Errc::kRefused, "the enrolment token was used already", {},
                "ask for a new one: `skein device token`");
  }
  return reply_for(*device);
}

Result<EnrolReply> DeviceRegistry::enrol_new(const TokenRow& token, const PublicKey& key,
                                             std::string name) {
  if (devices_.size() >= kMaxDevices) {
    return fail(Errc::kOutOfRoom, "the fleet has " + std::to_string(kMaxDevices) +
                                      " devices, the most this coordinator keeps");
  }
  DeviceRow device;
  TRY(device.id, store_.next_device_id());
  TRY(auto issued, authority_.issue(device.id, key));
  device.name = std::move(name);
  device.public_key = key;
  device.serial = issued.serial;
  device.certificate_pem = std::move(issued.certificate_pem);
  device.enrolled = device.last_seen = now();
  TRY_VOID(store_.enrol(token.secret_hash, device));
  env_.log.info("device enrolled", {{"device", device.id.value()}, {"name", device.name}});
  EnrolReply reply = reply_for(device);
  devices_.insert_or_assign(device.id, std::move(device));
  return reply;
}

EnrolReply DeviceRegistry::reply_for(const DeviceRow& device) const {
  EnrolReply reply;
  reply.device = device.id;
  reply.certificate_pem = device.certificate_pem;
  reply.authority_pem = authority_.certificate_pem();
  reply.artifact_key = authority_.artifact_public_key();
  return reply;
}

Result<DeviceId> DeviceRegistry::identify(const PeerIdentity& from) const {
  if (from.name.empty()) {
    return fail(Errc::kRefused, "this needs a device certificate", from.address, "enrol first");
  }
  const auto id = device_of_common_name(from.name);
  const DeviceRow* device = id ? find(*id) : nullptr;
  if (device == nullptr || device->serial != from.serial) {
    return fail(Errc::kRefused, "the certificate is of no device in this fleet",
                from.address + ", " + from.name, "enrol the device again");
  }
  if (device->state == DeviceState::kRevoked)
    return fail(Errc::kRefused, "the device was revoked", from.address + ", " + from.name);
  return *id;
}

Result<void> DeviceRegistry::heard(DeviceId id, const Heartbeat& heartbeat) {
  TRY(DeviceRow next, row_of(id));
  const DeviceRow before = next;
  next.inventory = heartbeat.inventory;
  next.active = heartbeat.active;
  next.previous = heartbeat.previous;
  next.slot_generation = heartbeat.slot_generation;
  const bool same = next == before;
  next.last_seen = now();
  if (same && next.last_seen - written_[id] < kSeenInterval) {
    devices_.insert_or_assign(id, std::move(next));
    return {};
  }
  return change(std::move(next));
}

const DeviceRow* DeviceRegistry::find(DeviceId id) const {
  const auto found = devices_.find(id);
  return found == devices_.end() ? nullptr : &found->second;
}

Result<DeviceRow> DeviceRegistry::row_of(DeviceId id) const {
  const DeviceRow* device = find(id);
  if (device == nullptr)
    return fail(Errc::kNotFound, no_device(id), {}, "`skein device ls` lists them");
  return *device;
}

Result<void> DeviceRegistry::change(DeviceRow next) {
  TRY_VOID(store_.put_device(next));
  written_[next.id] = next.last_seen;
  devices_.insert_or_assign(next.id, std::move(next));
  return {};
}

Result<void> DeviceRegistry::cordon(DeviceId id, bool cordoned) {
  TRY(DeviceRow next, row_of(id));
  if (next.state == DeviceState::kRevoked)
    return fail(Errc::kConflict, "device " + std::to_string(id.value()) + " was revoked");
  next.state = cordoned ? DeviceState::kCordoned : DeviceState::kActive;
  return change(std::move(next));
}

Result<void> DeviceRegistry::revoke(DeviceId id) {
  TRY(DeviceRow next, row_of(id));
  next.state = DeviceState::kRevoked;
  env_.log.info("device revoked", {{"device", id.value()}});
  return change(std::move(next));
}

Result<void> DeviceRegistry::set_labels(DeviceId id, const Labels& labels) {
  TRY(DeviceRow next, row_of(id));
  for (const auto& [key, value] : labels) {
    if (key.empty() || key.size() > kMaxLabel || value.size() > kMaxLabel) {
      return fail(Errc::kUsage,
                  "a label's name must have 1 to " + std::to_string(kMaxLabel) +
                      " bytes and its value no more",
                  key.substr(0, kMaxLabel));
    }
    if (value.empty()) {
      next.labels.erase(key);
    } else {
      next.labels[key] = value;
    }
  }
  if (next.labels.size() > kMaxLabels) {
    return fail(Errc::kUsage,
                "a device may have no more than " + std::to_string(kMaxLabels) + " labels");
  }
  return change(std::move(next));
}

}  // namespace skein
