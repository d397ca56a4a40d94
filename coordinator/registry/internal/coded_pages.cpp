#include "coordinator/registry/internal/coded_pages.h"

namespace skein {
namespace {

constexpr std::uint64_t kEntryBytes = 256;  // of a page that is kept, beside its bytes
constexpr std::int64_t kNanosecondsPerByte = 10;

class Waiting {
 public:
  explicit Waiting(std::size_t& count) : count_(count) { ++count_; }
  ~Waiting() { --count_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::size_t& count_;
};

class InUse {
 public:
  InUse(bool& flag, Signal& freed) : flag_(flag), freed_(freed) { flag_ = true; }
  ~InUse() {
    flag_ = false;
    freed_.notify_all();
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  bool& flag_;
  Signal& freed_;
};

}  // namespace

CodedPages::CodedPages(Env env, std::uint64_t most_bytes)
    : env_(env), most_bytes_(most_bytes), coded_(env.executor) {}

std::shared_ptr<const Buffer> CodedPages::find(const Digest& page) {
  const auto found = places_.find(page);
  if (found == places_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->coded;
}

Task<std::shared_ptr<const Buffer>> CodedPages::code(Digest digest, Buffer page,
                                                     std::vector<PageSegment> parts) {
  if (coding_) {
    if (waiting_ == kMaxWaitingToCode) co_return nullptr;
    const Waiting waiting(waiting_);
    while (coding_) co_await coded_.wait();
  }
  if (auto kept = find(digest)) co_return kept;  // another device asked for it meanwhile
  const InUse in_use(coding_, coded_);
  Buffer coded;
  std::function<void()> job = [&] { coded = coder_.code(page, parts); };
  const Duration cost(static_cast<std::int64_t>(page.size()) * kNanosecondsPerByte);
  co_await env_.compute.run(std::move(job), cost);
  if (coded.size() >= page.size()) coded.clear();
  coded.shrink_to_fit();
  pages_coded_ += 1;
  auto made = std::make_shared<const Buffer>(std::move(coded));
  keep(digest, made);
  co_return made;
}

void CodedPages::keep(const Digest& digest, std::shared_ptr<const Buffer> coded) {
  bytes_ += coded->size() + kEntryBytes;
  kept_.push_front({digest, std::move(coded)});
  places_[digest] = kept_.begin();
  while (bytes_ > most_bytes_) {
    bytes_ -= kept_.back().coded->size() + kEntryBytes;
    places_.erase(kept_.back().digest);
    kept_.pop_back();
  }
}

}  // namespace skein
