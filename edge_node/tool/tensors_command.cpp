// skein tensors: files of weights, deltas or gradients in fewer bytes, and back, bit for bit.
#include <algorithm>
#include <boost/json/object.hpp>

#include "common/cli/in_file.h"
#include "common/env/disk.h"
#include "common/tensors/packed_tensors.h"
#include "edge_node/tool/internal/model_command.h"

namespace skein::tool {
namespace {

constexpr std::size_t kBatchPages = 64;  // read, coded and written together: at most 32 MiB

struct TensorOptions {
  std::string in, out, base;
  bool json = false;
};

// Runs `work(page, memory)` for the pages of a batch on all threads.
class Batches {
 public:
  using Work = std::function<void(std::size_t page, CodecMemory& memory)>;

  Batches(Env env, Terminal& terminal, std::size_t pages)
      : env_(env),
        terminal_(terminal),
        pages_(pages),
        memories_(std::min(env.compute.parallel().threads(), kBatchPages)) {}

  bool done() const { return first_ >= pages_; }
  std::size_t first() const { return first_; }
  std::size_t last() const { return std::min(first_ + kBatchPages, pages_); }
  void next() {
    first_ = last();
    if (!terminal_.err_is_terminal) return;
    terminal_.err << "\r" << 100 * first_ / pages_ << " %" << (done() ? "\n" : "") << std::flush;
  }

  Task<void> run(Work work) {
    std::function<void()> job = [&] {
      env_.compute.parallel().for_each(memories_.size(), [&](std::size_t thread) {
        for (std::size_t page = first() + thread; page < last(); page += memories_.size()) {
          work(page, memories_[thread]);
        }
      });
    };
    co_await env_.compute.run(std::move(job), Duration::zero());
  }

 private:
  Env env_;
  Terminal& terminal_;
  std::size_t pages_;
  std::size_t first_ = 0;
  std::vector<CodecMemory> memories_;
};

struct Mapped {
  std::unique_ptr<MappedFile> in, base;
  ByteView base_bytes() const { return base ? base->bytes() : ByteView(); }
};

Result<Mapped> map_files(Env env, const TensorOptions& options) {
  Mapped mapped;
  TRY(mapped.in, env.disk.map(options.in));
  if (options.base.empty()) return mapped;
  TRY(mapped.base, env.disk.map(options.base));
  return mapped;
}

// The pages after room for the directory, then the directory in it.
Task<Result<void>> write_packed(Env env, Terminal& terminal, const Mapped& files,
                                PackedDirectory& directory, File& out) {
  std::uint64_t at = directory_bytes(directory.pages.size());
  Batches batches(env, terminal, directory.pages.size());
  for (; !batches.done(); batches.next()) {
    std::vector<Buffer> packed(batches.last() - batches.first());
    Batches::Work work = [&](std::size_t page, CodecMemory& memory) {
      packed[page - batches.first()] =
          pack_page(files.in->bytes(), files.base_bytes(), directory.pages[page], memory);
    };
    co_await batches.run(std::move(work));
    for (const Buffer& bytes : packed) {
      CO_TRY_VOID(co_await out.write_at(at, bytes));
      at += bytes.size();
    }
  }
  const Buffer head = encode_directory(directory);
  co_return co_await out.write_at(0, head);
}

Task<Result<void>> write_unpacked(Env env, Terminal& terminal, const Mapped& files,
                                  const PackedDirectory& directory, File& out) {
  std::uint64_t packed_at = directory_bytes(directory.pages.size());
  Batches batches(env, terminal, directory.pages.size());
  Buffer raw(kBatchPages * kPackedPageBytes);
  for (; !batches.done(); batches.next()) {
    std::vector<std::uint64_t> starts;
    for (std::size_t page = batches.first(); page < batches.last(); ++page) {
      starts.push_back(packed_at);
      packed_at += directory.pages[page].packed_bytes;
    }
    const std::uint64_t first_at = directory.pages[batches.first()].at;
    std::vector<Result<void>> results(starts.size());
    Batches::Work work = [&](std::size_t index, CodecMemory& memory) {
      const PackedPage& page = directory.pages[index];
      const std::size_t i = index - batches.first();
      results[i] = unpack_page(page, files.in->bytes().subspan(starts[i], page.packed_bytes),
                               files.base_bytes(), memory,
                               MutableByteView(raw).subspan(page.at - first_at, page.bytes));
    };
    co_await batches.run(std::move(work));
    for (Result<void>& result : results) CO_TRY_VOID(std::move(result));
    const PackedPage& last = directory.pages[batches.last() - 1];
    const auto bytes = static_cast<std::size_t>(last.at + last.bytes - first_at);
    CO_TRY_VOID(co_await out.write_at(first_at, ByteView(raw).first(bytes)));
  }
  co_return Result<void>{};
}

using Write = std::function<Task<Result<void>>(File& out)>;

// All or nothing under `path`, durable on return.
Task<Result<void>> write_whole(Env env, std::string path, Write write) {
  const std::string temporary = path + ".new";
  Result<void> result;
  {
    CO_TRY(auto file, co_await env.disk.open(temporary, OpenMode::kCreate));
    result = co_await write(*file);
    if (result) result = co_await file->sync();
  }
  if (result) result = co_await env.disk.rename(temporary, path);
  if (!result) {
    (void)co_await env.disk.remove(temporary);
    co_return result;
  }
  co_return co_await env.disk.sync_directory(parent_path(path));
}

void tell(Terminal& terminal, const TensorOptions& options, std::uint64_t raw, std::uint64_t packed,
          double seconds) {
  const auto raw_bytes = static_cast<double>(raw);
  const double ratio = raw_bytes / static_cast<double>(packed);
  if (options.json) {
    print(terminal, {{"raw_bytes", raw},
                     {"packed_bytes", packed},
                     {"ratio", ratio},
                     {"seconds", seconds},
                     {"bytes_per_s", raw_bytes / std::max(seconds, 1e-9)}});
  } else {
    terminal.out << options.out << ": " << raw << " bytes, packed " << packed << " (" << ratio
                 << " times smaller)\n";
  }
}

double seconds_since(Env env, Instant began) {
  return std::chrono::duration<double>(env.clock.now() - began).count();
}

Task<Result<void>> pack(Env env, Terminal& terminal, std::shared_ptr<TensorOptions> options) {
  const Instant began = env.clock.now();
  CO_TRY(const Mapped files, map_files(env, *options));
  Result<PackedDirectory> planned = fail(Errc::kCancelled, "not run");
  const auto plan = [&]() -> Result<void> {
    planned = plan_pages({files.in->bytes(), options->in}, {files.base_bytes(), options->base});
    if (!planned) return {};
    const bool based = std::ranges::any_of(
        planned->pages, [](const PackedPage& page) { return page.base.has_value(); });
    if (based) planned->base = base_digest(files.base_bytes(), env.compute.parallel());
    return {};
  };
  CO_TRY_VOID(co_await on_compute(env, plan));
  CO_TRY(PackedDirectory directory, std::move(planned));
  Write write = [&](File& out) { return write_packed(env, terminal, files, directory, out); };
  CO_TRY_VOID(co_await write_whole(env, options->out, std::move(write)));
  std::uint64_t packed = directory_bytes(directory.pages.size());
  for (const PackedPage& page : directory.pages) packed += page.packed_bytes;
  tell(terminal, *options, directory.raw_bytes, packed, seconds_since(env, began));
  co_return Result<void>{};
}

// The base that the file was packed with, and no other.
Result<void> check_base(Env env, const TensorOptions& options, const Mapped& files,
                        const PackedDirectory& directory) {
  if (directory.base.is_zero()) return {};
  if (!files.base) {
    return fail(Errc::kUsage, "the tensors were packed as the difference from a base", options.in,
                "name the base with --base FILE");
  }
  if (base_digest(files.base->bytes(), env.compute.parallel()) == directory.base) return {};
  return fail(Errc::kConflict, "the tensors were packed with another base", options.in,
              "name the file that skein tensors pack was given with --base");
}

Task<Result<void>> unpack(Env env, Terminal& terminal, std::shared_ptr<TensorOptions> options) {
  const Instant began = env.clock.now();
  CO_TRY(const Mapped files, map_files(env, *options));
  CO_TRY(const PackedDirectory directory, read_directory({files.in->bytes(), options->in}));
  const auto check = [&] { return check_base(env, *options, files, directory); };
  CO_TRY_VOID(co_await on_compute(env, check));
  Write write = [&](File& out) { return write_unpacked(env, terminal, files, directory, out); };
  auto written = co_await write_whole(env, options->out, std::move(write));
  if (!written && written.error().code == Errc::kCorrupt) {
    co_return in_file(options->in, std::move(written.error()));
  }
  CO_TRY_VOID(std::move(written));
  tell(terminal, *options, directory.raw_bytes, files.in->bytes().size(),
       seconds_since(env, began));
  co_return Result<void>{};
}

using Run = Task<Result<void>> (*)(Env, Terminal&, std::shared_ptr<TensorOptions>);

void add_direction(CLI::App& tensors, Command& chosen, const std::string& name,
                   const std::string& about, Run run) {
  auto options = std::make_shared<TensorOptions>();
  CLI::App* command = tensors.add_subcommand(name, about);
  command->add_option("IN", options->in, "the file to read")->required();
  command->add_option("-o,--output", options->out, "the file to write")->required();
  command->add_option("--base", options->base,
                      "safetensors file that both sides have; only the difference is kept");
  add_threads_option(*command, chosen);
  command->add_flag("--json", options->json, "one JSON object on standard output");
  command->callback([&chosen, options, run] {
    chosen.run = [options, run](Env env, Terminal& terminal) {
      return run(env, terminal, options);
    };
  });
}

}  // namespace

void add_tensors(CLI::App& tool, Command& chosen) {
  CLI::App* tensors =
      tool.add_subcommand("tensors", "weights, deltas and gradients in fewer bytes, without loss");
  tensors->require_subcommand(1);
  add_direction(*tensors, chosen, "pack", "a safetensors file, packed", pack);
  add_direction(*tensors, chosen, "unpack", "the safetensors file again, byte for byte", unpack);
}

}  // namespace skein::tool
