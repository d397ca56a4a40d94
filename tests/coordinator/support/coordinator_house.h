// CoordinatorHouse: a Coordinator on the loopback with real TLS, real SQLite and real files, that a
// test can kill and start again, and talk to as a person (HTTP) or as a device. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "common/artifact/artifact_file.h"
#include "common/artifact/slots.h"
#include "common/crypto/certificate.h"
#include "common/crypto/sha256.h"
#include "common/env/real/real_env.h"
#include "common/http/http.h"
#include "common/store/database.h"
#include "common/wire/peer.h"
#include "coordinator/app/coordinator.h"
#include "tests/coordinator/support/temp_folder.h"

namespace skein::test {

inline std::string file_text(const std::string& path) {
  std::stringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

class CoordinatorHouse {
 public:
  CoordinatorHouse() { start(); }
  ~CoordinatorHouse() { kill(); }

  void start() {
    CoordinatorConfig config;
    config.data_dir = folder.path("coordinator");
    config.device_listen.port = 0;
    config.admin_listen.port = 0;
    config.heartbeat_ms = 100;
    ASSERT_TRUE(real.run(real.env().disk.make_directories(config.data_dir)));
    database_ = Database::open_file(config.data_dir + "/coordinator.db").value();
    coordinator = std::make_unique<Coordinator>(real.env(), config, *database_);
    const auto started = real.run(coordinator->start());
    ASSERT_TRUE(started) << to_string(started.error());
  }
  // Without a word to anybody: nothing is flushed that was not durable already.
  void kill() {
    if (!coordinator) return;
    real.run(coordinator->stop());
    coordinator.reset();
    database_.reset();
  }
  void restart() {
    kill();
    start();
  }

  struct Reply {
    int status = 0;
    boost::json::value body;
    std::string text;
    const boost::json::value& operator[](const char* field) const {
      return body.as_object().at(field);
    }
  };
  std::string token() const {
    std::string text = file_text(coordinator->admin_token_path());
    text.resize(text.find_last_not_of('\n') + 1);
    return text;
  }
  Reply http(std::string method, std::string path, std::string body = "") {
    return http_as("Bearer " + token(), std::move(method), std::move(path), std::move(body));
  }
  Reply http_as(std::string authorization, std::string method, std::string path,
                std::string body = "") {
    HttpCall call;
    call.to = coordinator->admin_endpoint();
    call.request.method = std::move(method);
    call.request.path = std::move(path);
    call.request.body = std::move(body);
    if (!authorization.empty()) call.request.headers["authorization"] = std::move(authorization);
    const auto deadline = real.env().clock.now() + std::chrono::seconds(10);
    const auto response = real.run(http_call(real.env(), std::move(call), deadline));
    EXPECT_TRUE(response) << to_string(response.error());
    if (!response) return {};
    boost::system::error_code not_json;
    return {response->status, boost::json::parse(response->body, not_json), response->body};
  }
  std::string enrol_token() {
    const Reply made = http("POST", "/api/v1/tokens", "{}");
    EXPECT_EQ(made.status, 201) << made.text;
    return made["token"].as_string().c_str();
  }
  // The artifact's digest, registered.
  Digest publish(PageSource& pages, PageCoding coding = PageCoding::kPlain) {
    const std::string path = folder.path("published.skein");
    EXPECT_TRUE(real.run(write_artifact(real.env().disk, path, pages, std::nullopt, coding)));
    const Reply made = http("POST", "/api/v1/artifacts", file_text(path));
    EXPECT_EQ(made.status, 201) << made.text;
    return Digest::from_hex(made["digest"].as_string().c_str()).value();
  }

  TempFolder folder;
  RealEnv real{{.compute_threads = 1, .log_level = LogLevel::kError}};
  std::unique_ptr<Coordinator> coordinator;

 private:
  std::unique_ptr<Database> database_;
};

// A device as far as the wire sees it.
class WireDevice {
 public:
  WireDevice(CoordinatorHouse& house, unsigned char number) : house_(house) {
    key.seed.fill(std::byte{number});
  }
  ~WireDevice() { hang_up(); }

  // Dials with what it holds: nothing, or its certificate. The error of the handshake otherwise.
  Result<void> dial(const std::string& authority_fingerprint) {
    hang_up();
    auto tls = std::make_shared<TlsOptions>();
    if (!certificate_pem.empty())
      tls->identity = TlsIdentity{certificate_pem + authority_pem, to_pem(key)};
    tls->authority_fingerprint = Digest::from_hex(authority_fingerprint);
    TRY(auto stream, house_.real.run(house_.real.env().network.connect(
                         house_.coordinator->device_endpoint(), std::move(tls))));
    peer_ = std::make_unique<Peer>(house_.real.env(), std::move(stream), nullptr, PeerOptions{});
    links_ = std::make_unique<TaskGroup>(house_.real.env().executor);
    auto serve = [](Peer& peer) -> Task<void> {
      Task<Result<void>> running = peer.run();
      co_await std::move(running);
    };
    links_->spawn(serve(*peer_));
    return {};
  }
  void hang_up() {
    if (!peer_) return;
    peer_->close();
    house_.real.run(links_->stop());
    peer_.reset();
  }
  Result<Envelope> call(Message message, Buffer payload = {}) {
    const Instant deadline = house_.real.env().clock.now() + std::chrono::seconds(10);
    return house_.real.run(peer_->call(std::move(message), std::move(payload), deadline));
  }
  // All parts' payloads in order.
  Result<std::vector<std::pair<Message, Buffer>>> stream(Message message) {
    std::vector<std::pair<Message, Buffer>> parts;
    Peer::OnPart keep = [&](Message part, Buffer payload) -> Task<Result<void>> {
      parts.emplace_back(std::move(part), std::move(payload));
      co_return Result<void>{};
    };
    TRY_VOID(house_.real.run(
        peer_->call_streaming(std::move(message), std::move(keep), std::chrono::seconds(10))));
    return parts;
  }

  Result<EnrolReply> enrol(const std::string& token) {
    TRY_VOID(dial(token.substr(33)));
    TRY(const std::string request, make_signing_request(key, "device"));
    TRY(auto reply, call(EnrolRequest{token, "arm", request}));
    auto enrolled = std::get<EnrolReply>(reply.message);
    certificate_pem = enrolled.certificate_pem;
    authority_pem = enrolled.authority_pem;
    id = enrolled.device;
    TRY_VOID(dial(token.substr(33)));
    return enrolled;
  }
  Result<HeartbeatReply> beat(const Heartbeat& heartbeat) {
    TRY(auto reply, call(heartbeat));
    return std::get<HeartbeatReply>(reply.message);
  }
  // What an update does, over the wire: the manifest, then every page, checked.
  Result<Manifest> fetch(const Digest& artifact) {
    TRY(const auto manifest_parts, stream(FetchManifest{artifact}));
    Buffer blob;
    for (const auto& [part, payload] : manifest_parts) append(blob, payload);
    TRY(const SignedManifest signed_manifest, decode_signed_manifest(blob));
    if (signed_manifest.digest() != artifact) return fail(Errc::kCorrupt, "another manifest");
    TRY(Manifest manifest, decode_manifest(signed_manifest.bytes));
    FetchPages wanted;
    for (const PageEntry& page : manifest.pages) wanted.pages.push_back(page.digest);
    TRY(const auto pages, stream(wanted));
    if (pages.size() != manifest.pages.size()) return fail(Errc::kCorrupt, "pages are missing");
    for (const auto& [part, payload] : pages) {
      if (sha256(payload) != std::get<PagePart>(part).page)
        return fail(Errc::kCorrupt, "a page is not what it is called");
    }
    return manifest;
  }

  SigningKey key;
  DeviceId id{};
  std::string certificate_pem;
  std::string authority_pem;

 private:
  CoordinatorHouse& house_;
  std::unique_ptr<Peer> peer_;
  std::unique_ptr<TaskGroup> links_;
};

}  // namespace skein::test
