#include "edge_node/link/identity.h"

#include <boost/json.hpp>

#include "common/base/check.h"
#include "common/crypto/certificate.h"
#include "common/wire/peer.h"
#include "edge_node/link/coordinator_link.h"
#include "edge_node/link/uplink.h"

namespace skein {

namespace {

constexpr std::size_t kMaxIdentityBytes = 64 * 1024;
constexpr std::string_view kKeyFile = "device.key";
constexpr std::string_view kIdentityFile = "identity.json";

std::string encode(const EnrolReply& reply) {
  boost::json::object object;
  object["version"] = 1;
  object["device"] = std::to_string(reply.device.value());
  object["certificate_pem"] = reply.certificate_pem;
  object["authority_pem"] = reply.authority_pem;
  object["artifact_key"] = to_hex(reply.artifact_key);
  return boost::json::serialize(object) + "\n";
}

Result<std::string> text_of(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) {
    return fail(Errc::kCorrupt, "no text \"" + std::string(key) + "\"", std::string(kIdentityFile));
  }
  return std::string(value->get_string());
}

Result<DeviceIdentity> decode(std::string_view text) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object()) {
    return fail(Errc::kCorrupt, "not a JSON object", std::string(kIdentityFile));
  }
  const boost::json::object& object = value.get_object();
  DeviceIdentity identity;
  TRY(const std::string device, text_of(object, "device"));
  TRY(identity.certificate_pem, text_of(object, "certificate_pem"));
  TRY(identity.authority_pem, text_of(object, "authority_pem"));
  TRY(const std::string key_hex, text_of(object, "artifact_key"));
  identity.device = DeviceId(std::strtoull(device.c_str(), nullptr, 10));
  const auto key = from_hex(key_hex);
  if (!key || key->size() != identity.artifact_key.size()) {
    return fail(Errc::kCorrupt, "the artifact key is not 32 bytes of hex",
                std::string(kIdentityFile));
  }
  std::copy(key->begin(), key->end(), identity.artifact_key.begin());
  return identity;
}

// What the authority said must hold before it is believed, stored or used.
Result<void> check_identity(const DeviceIdentity& identity, WallTime now) {
  TRY(const CertificateFacts facts,
      verify_certificate(identity.certificate_pem, identity.authority_pem, CertificateUse::kDevice,
                         now));
  if (facts.public_key != identity.key.public_key()) {
    return fail(Errc::kRefused, "the certificate is for another key", facts.common_name);
  }
  return {};
}

// Plain arguments by value: a detached task may outlive its starter.
Task<void> run_peer(std::shared_ptr<Peer> peer) {
  const Result<void> ended = co_await peer->run();
  (void)ended;  // the call below reports what went wrong
}

Task<Result<EnrolReply>> ask(Env env, const EnrolOptions& options, std::string request_pem) {
  auto tls = std::make_shared<TlsOptions>();
  tls->authority_fingerprint = options.token.authority;
  CO_TRY(auto stream, co_await env.network.connect(options.coordinator, tls));
  const auto peer = std::make_shared<Peer>(env, std::move(stream), nullptr, PeerOptions{});
  TaskGroup tasks(env.executor);
  tasks.spawn(run_peer(peer));
  Message request = EnrolRequest{options.token.text, options.device_name, std::move(request_pem)};
  Buffer nothing;
  const Instant deadline = env.clock.now() + kEnrolLimit;
  auto reply = co_await peer->call(std::move(request), std::move(nothing), deadline);
  peer->close();
  co_await tasks.join();
  if (!reply) co_return tl::unexpected<Error>(std::move(reply.error()));
  co_return expect_message<EnrolReply>(*reply);
}

}  // namespace

Result<EnrolToken> parse_enrol_token(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  const std::size_t dot = text.rfind('.');
  const auto authority =
      dot == std::string_view::npos ? std::nullopt : Digest::from_hex(text.substr(dot + 1));
  if (!authority || dot == 0 || text.size() > kMaxText) {
    return fail(Errc::kUsage, "the enrolment token is not <secret>.<authority fingerprint>",
                "[coordinator] token", "ask the coordinator for a new one");
  }
  return EnrolToken{std::string(text), *authority};
}

Task<Result<SigningKey>> load_or_make_key(Env env, std::string directory) {
  const std::string path = join_path(directory, kKeyFile);
  auto stored = co_await read_file(env.disk, path, kMaxIdentityBytes);
  if (stored) {
    auto key = signing_key_from_pem(as_text(*stored));
    if (!key) {
      Error error = std::move(key.error());
      error.where = path;
      error.remedy = "remove the file and enrol again";
      co_return tl::unexpected<Error>(std::move(error));
    }
    co_return *key;
  }
  if (stored.error().code != Errc::kNotFound) {
    co_return tl::unexpected<Error>(std::move(stored.error()));
  }
  CO_TRY_VOID(co_await env.disk.make_directories(directory));
  SigningKey key;
  env.random.fill(key.seed);
  const std::string pem = to_pem(key);
  CO_TRY_VOID(co_await replace_file(env.disk, path, as_bytes(pem)));
  co_return key;
}

Task<Result<std::optional<DeviceIdentity>>> load_identity(Env env, std::string directory) {
  const std::string path = join_path(directory, kIdentityFile);
  auto stored = co_await read_file(env.disk, path, kMaxIdentityBytes);
  if (!stored && stored.error().code == Errc::kNotFound) {
    co_return std::optional<DeviceIdentity>();
  }
  if (!stored) co_return tl::unexpected<Error>(std::move(stored.error()));
  CO_TRY(const SigningKey key, co_await load_or_make_key(env, directory));
  auto identity = decode(as_text(*stored));
  if (identity) {
    identity->key = key;
    auto checked = check_identity(*identity, env.clock.wall_now());
    if (checked) co_return std::optional<DeviceIdentity>(std::move(*identity));
    identity = tl::unexpected<Error>(std::move(checked.error()));
  }
  env.log.warn("identity not usable", {{"file", path}, {"reason", to_string(identity.error())}});
  co_return std::optional<DeviceIdentity>();
}

Task<Result<DeviceIdentity>> enrol(Env env, EnrolOptions options) {
  CO_TRY(const SigningKey key, co_await load_or_make_key(env, options.directory));
  CO_TRY(std::string request_pem, make_signing_request(key, options.device_name));
  CO_TRY(const EnrolReply reply, co_await ask(env, options, std::move(request_pem)));
  DeviceIdentity identity{reply.device, reply.certificate_pem, reply.authority_pem,
                          reply.artifact_key, key};
  CO_TRY(const Digest authority, certificate_fingerprint(reply.authority_pem));
  if (authority != options.token.authority) {
    co_return fail(Errc::kRefused, "the coordinator's authority is not the one the token names",
                   to_string(options.coordinator), "ask the coordinator for a new token");
  }
  CO_TRY_VOID(check_identity(identity, env.clock.wall_now()));
  const std::string encoded = encode(reply);
  const std::string path = join_path(options.directory, kIdentityFile);
  CO_TRY_VOID(co_await replace_file(env.disk, path, as_bytes(encoded)));
  env.log.info("enrolled", {{"device", identity.device.value()},
                            {"coordinator", to_string(options.coordinator)}});
  co_return identity;
}

}  // namespace skein
