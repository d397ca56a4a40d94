#include "coordinator/registry/authority.h"

#include <algorithm>
#include <charconv>

#include "common/env/disk.h"

namespace skein {

namespace {

constexpr std::chrono::hours kDay{24};
constexpr auto kBackdated = kDay;  // devices' clocks may be behind ours
constexpr auto kAuthorityLife = 20 * 365 * kDay;
constexpr auto kDeviceLife = 10 * 365 * kDay;
constexpr auto kServerLife = 2 * 365 * kDay;
constexpr auto kServerRenewal = 30 * kDay;  // issued again when it ends sooner than this
constexpr std::uint64_t kMaxPemFile = 64 * 1024;
constexpr std::string_view kDevicePrefix = "device-";

Task<Result<std::optional<std::string>>> read_text(Disk& disk, std::string path) {
  auto bytes = co_await read_file(disk, path, kMaxPemFile);
  if (bytes) co_return std::string(as_text(*bytes));
  if (bytes.error().code == Errc::kNotFound) co_return std::nullopt;
  co_return tl::unexpected(bytes.error());
}

tl::unexpected<Error> damaged(const std::string& path, Error error) {
  error.where = path;
  error.remedy = "restore the file from a backup; the fleet trusts what was in it";
  return tl::unexpected(within("the coordinator's own keys cannot be read", std::move(error)));
}

}  // namespace

std::string device_common_name(DeviceId id) {
  return std::string(kDevicePrefix) + std::to_string(id.value());
}

std::optional<DeviceId> device_of_common_name(std::string_view name) {
  if (!name.starts_with(kDevicePrefix)) return std::nullopt;
  name.remove_prefix(kDevicePrefix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number == 0) return std::nullopt;
  return DeviceId{number};
}

Task<Result<std::unique_ptr<Authority>>> Authority::open(Env env, AuthorityOptions options) {
  std::unique_ptr<Authority> authority(new Authority(env));
  CO_TRY_VOID(co_await env.disk.make_directories(options.directory));
  CO_TRY_VOID(co_await authority->open_authority(options.directory));
  CO_TRY_VOID(co_await authority->open_server(options.directory, std::move(options.hosts)));
  CO_TRY(authority->artifact_key_,
         co_await authority->open_key(join_path(options.directory, "artifact.key")));
  co_return authority;
}

Task<Result<SigningKey>> Authority::open_key(std::string path) {
  CO_TRY(const auto text, co_await read_text(env_.disk, path));
  if (text) {
    auto key = signing_key_from_pem(*text);
    if (!key) co_return damaged(path, key.error());
    co_return *key;
  }
  SigningKey key;
  env_.random.fill(key.seed);
  const std::string pem = to_pem(key);
  CO_TRY_VOID(co_await replace_file(env_.disk, path, as_bytes(pem)));
  co_return key;
}

// The key is written before the certificate: a crash between the two leaves a key that has signed
// nothing, and the certificate is made from it at the next start.
Task<Result<void>> Authority::open_authority(std::string directory) {
  const std::string path = join_path(directory, "authority.pem");
  CO_TRY(authority_key_, co_await open_key(join_path(directory, "authority.key")));
  CO_TRY(auto text, co_await read_text(env_.disk, path));
  if (!text) {
    const Validity validity{now() - kBackdated, now() + kAuthorityLife};
    CO_TRY(text, make_authority(authority_key_, "skein authority", new_serial(), validity));
    CO_TRY_VOID(co_await replace_file(env_.disk, path, as_bytes(*text)));
    env_.log.info("authority made", {{"file", path}});
  }
  auto fingerprint = certificate_fingerprint(*text);
  if (!fingerprint) co_return damaged(path, fingerprint.error());
  authority_pem_ = std::move(*text);
  fingerprint_ = *fingerprint;
  co_return Result<void>{};
}

Task<Result<void>> Authority::open_server(std::string directory, std::vector<std::string> hosts) {
  for (const char* always : {"localhost", "127.0.0.1"}) {
    if (std::ranges::find(hosts, always) == hosts.end()) hosts.emplace_back(always);
  }
  const std::string path = join_path(directory, "server.pem");
  CO_TRY(server_key_, co_await open_key(join_path(directory, "server.key")));
  CO_TRY(const auto text, co_await read_text(env_.disk, path));
  if (text) server_pem_ = *text;
  if (text && server_certificate_serves(hosts)) co_return Result<void>{};

  CertificateRequest request;
  request.common_name = "coordinator";
  request.public_key = server_key_.public_key();
  request.hosts = std::move(hosts);
  request.use = CertificateUse::kServer;
  request.serial = new_serial();
  request.validity = {now() - kBackdated, now() + kServerLife};
  CO_TRY(server_pem_, issue_certificate(authority_key_, authority_pem_, request));
  CO_TRY_VOID(co_await replace_file(env_.disk, path, as_bytes(server_pem_)));
  env_.log.info("server certificate issued", {{"file", path}});
  co_return Result<void>{};
}

bool Authority::server_certificate_serves(const std::vector<std::string>& hosts) const {
  const auto facts = verify_certificate(server_pem_, authority_pem_, CertificateUse::kServer,
                                        now() + kServerRenewal);
  if (!facts || facts->public_key != server_key_.public_key()) return false;
  const auto named = [&](const std::string& host) {
    return std::ranges::find(facts->hosts, host) != facts->hosts.end();
  };
  return std::ranges::all_of(hosts, named);
}

TlsIdentity Authority::server_identity() const {
  return {server_pem_ + authority_pem_, to_pem(server_key_)};
}

std::uint64_t Authority::new_serial() { return (env_.random.next() >> 1) | 1; }

Result<Authority::Issued> Authority::issue(DeviceId id, const PublicKey& key) {
  CertificateRequest request;
  request.common_name = device_common_name(id);
  request.public_key = key;
  request.serial = new_serial();
  request.validity = {now() - kBackdated, now() + kDeviceLife};
  TRY(auto pem, issue_certificate(authority_key_, authority_pem_, request));
  return Issued{std::move(pem), request.serial};
}

}  // namespace skein
