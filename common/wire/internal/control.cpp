#include <cmath>

#include "common/base/check.h"
#include "common/wire/internal/codec.h"

namespace skein::wire {
namespace {

schema::DeviceStep out_step(DeviceStep step) { return static_cast<schema::DeviceStep>(step); }

DeviceStep in_step(FieldCheck& check, schema::DeviceStep step, const char* field) {
  const auto number = static_cast<unsigned>(step);
  if (number < unsigned(DeviceStep::kPending) || number > unsigned(DeviceStep::kRolledBack)) {
    check.refuse(field, "there is no device step " + std::to_string(number));
    return DeviceStep::kPending;
  }
  return static_cast<DeviceStep>(number);
}

Errc in_code(FieldCheck& check, schema::ErrorCode code) {
  const auto number = static_cast<unsigned>(code);
  if (number < unsigned(Errc::kUsage) || number > unsigned(Errc::kFalse)) {
    check.refuse("ErrorReply.code", "there is no error code " + std::to_string(number));
    return Errc::kUsage;
  }
  return static_cast<Errc>(number);
}

void write_part(const Inventory& from, schema::Inventory::Builder to) {
  CHECK(from.labels.size() <= kMaxLabels);
  to.setSoftwareVersion(out_text(from.software_version));
  to.setIsa(out_text(from.isa));
  to.setThreads(from.threads);
  to.setMemoryBytes(from.memory_bytes);
  to.setFreeDiskBytes(from.free_disk_bytes);
  auto labels = to.initLabels(static_cast<unsigned>(from.labels.size()));
  for (unsigned i = 0; i < labels.size(); ++i) {
    labels[i].setName(out_text(from.labels[i].first));
    labels[i].setValue(out_text(from.labels[i].second));
  }
}

void read_part(FieldCheck& check, schema::Inventory::Reader from, Inventory& to) {
  to.software_version = check.text(from.getSoftwareVersion(), "Inventory.softwareVersion");
  to.isa = check.text(from.getIsa(), "Inventory.isa");
  to.threads = from.getThreads();
  to.memory_bytes = from.getMemoryBytes();
  to.free_disk_bytes = from.getFreeDiskBytes();
  const auto labels = from.getLabels();
  const unsigned count = check.length(labels.size(), kMaxLabels, "Inventory.labels");
  to.labels.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto label = labels[i];
    to.labels.emplace_back(check.text(label.getName(), "Inventory.labels"),
                           check.text(label.getValue(), "Inventory.labels"));
  }
}

void write_part(const StepReport& from, schema::StepReport::Builder to) {
  to.setRollout(from.rollout.value());
  to.setArtifact(out_bytes(from.artifact.bytes));
  to.setStep(out_step(from.step));
  to.setReason(out_text(readable(from.reason)));
  to.setBytesFetched(from.bytes_fetched);
  to.setPagesFetched(from.pages_fetched);
}

StepReport read_part(FieldCheck& check, schema::StepReport::Reader from) {
  StepReport to;
  to.rollout = RolloutId(from.getRollout());
  to.artifact = check.digest(from.getArtifact(), "StepReport.artifact");
  to.step = in_step(check, from.getStep(), "StepReport.step");
  to.reason = check.text(from.getReason(), "StepReport.reason");
  to.bytes_fetched = from.getBytesFetched();
  to.pages_fetched = from.getPagesFetched();
  return to;
}

void write_part(const RoundOffer& from, schema::RoundOffer::Builder to) {
  CHECK(std::isfinite(from.learning_rate) && std::isfinite(from.clip));
  to.setRound(from.round.value());
  to.setArtifact(out_bytes(from.artifact.bytes));
  to.setLearningRate(from.learning_rate);
  to.setEpochs(from.epochs);
  to.setContext(from.context);
  to.setClip(from.clip);
  to.setMaxTokens(from.max_tokens);
}

RoundOffer read_part(FieldCheck& check, schema::RoundOffer::Reader from) {
  RoundOffer to;
  to.round = RoundId(from.getRound());
  to.artifact = check.digest(from.getArtifact(), "RoundOffer.artifact");
  to.learning_rate = check.finite(from.getLearningRate(), "RoundOffer.learningRate");
  to.epochs = from.getEpochs();
  to.context = from.getContext();
  to.clip = check.finite(from.getClip(), "RoundOffer.clip");
  to.max_tokens = from.getMaxTokens();
  return to;
}

}  // namespace

void write(const EnrolRequest& from, schema::EnrolRequest::Builder to) {
  to.setToken(out_text(from.token));
  to.setDeviceName(out_text(from.device_name));
  to.setSigningRequestPem(out_text(from.signing_request_pem, kMaxPem));
}
void read(FieldCheck& check, schema::EnrolRequest::Reader from, EnrolRequest& to) {
  to.token = check.text(from.getToken(), "EnrolRequest.token");
  to.device_name = check.text(from.getDeviceName(), "EnrolRequest.deviceName");
  to.signing_request_pem =
      check.text(from.getSigningRequestPem(), "EnrolRequest.signingRequestPem", kMaxPem);
}

void write(const EnrolReply& from, schema::EnrolReply::Builder to) {
  to.setDevice(from.device.value());
  to.setCertificatePem(out_text(from.certificate_pem, kMaxPem));
  to.setAuthorityPem(out_text(from.authority_pem, kMaxPem));
  to.setArtifactKey(out_bytes(from.artifact_key));
}
void read(FieldCheck& check, schema::EnrolReply::Reader from, EnrolReply& to) {
  to.device = DeviceId(from.getDevice());
  to.certificate_pem = check.text(from.getCertificatePem(), "EnrolReply.certificatePem", kMaxPem);
  to.authority_pem = check.text(from.getAuthorityPem(), "EnrolReply.authorityPem", kMaxPem);
  to.artifact_key = check.key(from.getArtifactKey(), "EnrolReply.artifactKey");
}

void write(const Heartbeat& from, schema::Heartbeat::Builder to) {
  CHECK(from.steps.size() <= kMaxStepReports);
  write_part(from.inventory, to.initInventory());
  if (from.active) to.setActive(out_bytes(from.active->bytes));
  if (from.previous) to.setPrevious(out_bytes(from.previous->bytes));
  to.setSlotGeneration(from.slot_generation);
  auto steps = to.initSteps(static_cast<unsigned>(from.steps.size()));
  for (unsigned i = 0; i < steps.size(); ++i) write_part(from.steps[i], steps[i]);
}
void read(FieldCheck& check, schema::Heartbeat::Reader from, Heartbeat& to) {
  read_part(check, from.getInventory(), to.inventory);
  to.active = check.maybe_digest(from.hasActive(), from.getActive(), "Heartbeat.active");
  to.previous = check.maybe_digest(from.hasPrevious(), from.getPrevious(), "Heartbeat.previous");
  to.slot_generation = from.getSlotGeneration();
  const auto steps = from.getSteps();
  const unsigned count = check.length(steps.size(), kMaxStepReports, "Heartbeat.steps");
  to.steps.reserve(count);
  for (unsigned i = 0; i < count; ++i) to.steps.push_back(read_part(check, steps[i]));
}

void write(const HeartbeatReply& from, schema::HeartbeatReply::Builder to) {
  CHECK(from.recorded.size() <= kMaxStepReports);
  to.setWallSeconds(from.wall_seconds);
  to.setIntervalMs(from.interval_ms);
  auto recorded = to.initRecorded(static_cast<unsigned>(from.recorded.size()));
  for (unsigned i = 0; i < recorded.size(); ++i) {
    recorded[i].setRollout(from.recorded[i].first.value());
    recorded[i].setStep(out_step(from.recorded[i].second));
  }
  if (from.offer) {
    auto offer = to.initOffer();
    offer.setRollout(from.offer->rollout.value());
    offer.setArtifact(out_bytes(from.offer->artifact.bytes));
    offer.setTotalBytes(from.offer->total_bytes);
  }
  if (from.round) write_part(*from.round, to.initRound());
}
void read(FieldCheck& check, schema::HeartbeatReply::Reader from, HeartbeatReply& to) {
  to.wall_seconds = from.getWallSeconds();
  to.interval_ms = from.getIntervalMs();
  const auto recorded = from.getRecorded();
  const unsigned count = check.length(recorded.size(), kMaxStepReports, "HeartbeatReply.recorded");
  to.recorded.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto entry = recorded[i];
    to.recorded.emplace_back(RolloutId(entry.getRollout()),
                             in_step(check, entry.getStep(), "HeartbeatReply.recorded"));
  }
  if (from.hasOffer()) {
    const auto offer = from.getOffer();
    to.offer = UpdateOffer{RolloutId(offer.getRollout()),
                           check.digest(offer.getArtifact(), "UpdateOffer.artifact"),
                           offer.getTotalBytes()};
  }
  if (from.hasRound()) to.round = read_part(check, from.getRound());
}

void write(const Ack&, schema::Ack::Builder) {}
void read(FieldCheck&, schema::Ack::Reader, Ack&) {}

void write(const ErrorReply& from, schema::ErrorReply::Builder to) {
  to.setCode(static_cast<schema::ErrorCode>(from.error.code));
  to.setWhat(out_text(readable(from.error.what)));
  to.setWhere(out_text(readable(from.error.where)));
  to.setRemedy(out_text(readable(from.error.remedy)));
}
void read(FieldCheck& check, schema::ErrorReply::Reader from, ErrorReply& to) {
  to.error.code = in_code(check, from.getCode());
  to.error.what = check.text(from.getWhat(), "ErrorReply.what");
  to.error.where = check.text(from.getWhere(), "ErrorReply.where");
  to.error.remedy = check.text(from.getRemedy(), "ErrorReply.remedy");
}

}  // namespace skein::wire
