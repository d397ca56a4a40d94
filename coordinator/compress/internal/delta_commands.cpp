#include "coordinator/compress/internal/delta_commands.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "common/delta/delta.h"
#include "common/env/disk.h"

namespace skein {
namespace {

struct DeltaOptions {
  std::string base, other, out;
  bool json = false;
};

Task<Result<void>> make(Env env, Terminal& terminal, std::shared_ptr<DeltaOptions> options) {
  const Instant began = env.clock.now();
  CO_TRY(const auto base, open_artifact(env.disk, options->base));
  CO_TRY(const auto target, open_artifact(env.disk, options->other));
  CO_TRY(const auto file, env.disk.map(options->other));
  Result<Patch> patch = fail(Errc::kCancelled, "not run");
  std::function<void()> job = [&] {
    std::optional<Digest> coded;
    if (target->coding() == PageCoding::kCoded) coded = sha256(file->bytes());
    patch = make_patch(*base, *target, target->signed_manifest(), coded);
  };
  co_await env.compute.run(std::move(job), Duration::zero());
  if (!patch) co_return tl::unexpected(std::move(patch.error()));
  CO_TRY_VOID(co_await replace_file(env.disk, options->out, patch->bytes));
  const PatchStats& stats = patch->stats;
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  if (options->json) {
    terminal.out << boost::json::object{{"target_bytes", stats.target_bytes},
                                        {"patch_bytes", stats.patch_bytes},
                                        {"pages", stats.pages},
                                        {"pages_changed", stats.pages_changed},
                                        {"seconds", seconds}}
                 << "\n";
  } else {
    terminal.out << options->out << ": " << stats.patch_bytes << " bytes for a target of "
                 << stats.target_bytes << ", " << stats.pages_changed << " of " << stats.pages
                 << " pages changed\n";
  }
  co_return Result<void>{};
}

// The target's file, or none: pages coded by another zstd are the same pages in other bytes.
Task<Result<void>> write_target(Disk& disk, std::string path, PatchedPages& pages) {
  const SignedManifest manifest = pages.signed_manifest();
  const auto wanted = pages.coded_file();
  if (!wanted) {
    CO_TRY_VOID(co_await write_signed_artifact(disk, path, pages, manifest));
    co_return Result<void>{};
  }
  const std::string unchecked = path + ".unchecked";
  bool same = false;
  for (const PageCoding coding : {PageCoding::kCoded, PageCoding::kCodedButRows}) {
    CO_TRY_VOID(co_await write_signed_artifact(disk, unchecked, pages, manifest, coding));
    CO_TRY(const auto written, disk.map(unchecked));
    same = sha256(written->bytes()) == *wanted;
    if (same) break;
  }
  if (!same) {
    CO_TRY_VOID(co_await disk.remove(unchecked));
    co_return fail(Errc::kUnsupported, "the target's pages were coded in bytes that are not ours",
                   path, "fetch the target, or apply the patch with the Skein that coded it");
  }
  CO_TRY_VOID(co_await disk.rename(unchecked, path));
  co_return co_await disk.sync_directory(parent_path(path));
}

Task<Result<void>> apply(Env env, Terminal&, std::shared_ptr<DeltaOptions> options) {
  CO_TRY(const auto base, open_artifact(env.disk, options->base));
  CO_TRY(const auto patch, env.disk.map(options->other));
  Result<std::unique_ptr<PatchedPages>> made = fail(Errc::kCancelled, "not run");
  std::function<void()> job = [&] { made = apply_patch(*base, patch->bytes(), options->other); };
  co_await env.compute.run(std::move(job), Duration::zero());
  if (!made) co_return tl::unexpected(std::move(made.error()));
  co_return co_await write_target(env.disk, options->out, **made);
}

}  // namespace

void add_delta_commands(CLI::App& tool, Command& chosen) {
  CLI::App* delta = tool.add_subcommand("delta", "an artifact as its difference from another");
  delta->require_subcommand(1);
  auto options = std::make_shared<DeltaOptions>();
  CLI::App* maker = delta->add_subcommand("make", "the patch that turns BASE into TARGET");
  maker->add_option("BASE", options->base, "artifact the receiver has")->required();
  maker->add_option("TARGET", options->other, "artifact it should get")->required();
  maker->add_option("-o,--output", options->out, "the patch to write")->required();
  maker->add_flag("--json", options->json, "one JSON object on standard output");
  maker->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return make(env, terminal, options); };
  });
  CLI::App* applier =
      delta->add_subcommand("apply", "the target, bit for bit, from BASE and PATCH");
  applier->add_option("BASE", options->base, "artifact the patch was made from")->required();
  applier->add_option("PATCH", options->other, "what delta make wrote")->required();
  applier->add_option("-o,--output", options->out, "the artifact to write")->required();
  applier->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return apply(env, terminal, options); };
  });
}

}  // namespace skein
