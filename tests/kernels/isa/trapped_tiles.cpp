#include "tests/kernels/isa/trapped_tiles.h"

#include <ucontext.h>

#include <cstring>

#include "tests/support/tile_model.h"

namespace skein::test {
namespace {

// What a signal handler can reach.
TileModel model;
std::size_t product_count = 0;

// The numbers that instructions give the general registers.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};

// A VEX instruction of three prefix bytes with its operands, as the Software Developer's Manual
// lays them out (volume 2, 2.3).
struct Instruction {
  unsigned map = 0;     // 2 = 0F 38
  unsigned prefix = 0;  // 0 none, 1 = 66, 2 = F3, 3 = F2
  unsigned opcode = 0;
  bool memory = false;
  int reg = 0;   // ModRM.reg
  int rm = 0;    // ModRM.rm, of a register operand
  int vvvv = 0;  // the third operand
  char* base = nullptr;
  std::size_t index = 0;  // scaled: the stride of a tile in memory
  std::size_t bytes = 0;
};

std::size_t value_of(const greg_t* registers, unsigned number) {
  return static_cast<std::size_t>(registers[kRegisters[number]]);
}

void read_memory_operand(const unsigned char* modrm, unsigned vex, const greg_t* registers,
                         Instruction& out) {
  const unsigned mod = modrm[0] >> 6;
  unsigned base = modrm[0] & 7U;
  const unsigned char* at = modrm + 1;
  CHECK(mod != 0 || base != 5);  // relative to the instruction: the kernels have none
  if (base == 4) {
    const unsigned index = (at[0] >> 3 & 7U) | ((vex & 0x40U) == 0 ? 8U : 0U);
    if (index != 4) out.index = value_of(registers, index) << (at[0] >> 6);
    base = at[0] & 7U;
    CHECK(mod != 0 || base != 5);
    ++at;
  }
  std::size_t address = value_of(registers, base | ((vex & 0x20U) == 0 ? 8U : 0U));
  if (mod == 1) {
    address += static_cast<std::size_t>(static_cast<signed char>(*at++));
  } else if (mod == 2) {
    std::int32_t displacement = 0;
    std::memcpy(&displacement, at, sizeof displacement);
    address += static_cast<std::size_t>(displacement);
    at += sizeof displacement;
  }
  std::memcpy(&out.base, &address, sizeof address);
  out.bytes += static_cast<std::size_t>(at - modrm);
}

Instruction decode(const unsigned char* at, const greg_t* registers) {
  Instruction out;
  if (at[0] != 0xC4) return out;
  const unsigned vex = at[1];
  out.map = vex & 31U;
  out.prefix = at[2] & 3U;
  out.vvvv = static_cast<int>(~(at[2] >> 3U) & 15U);
  out.opcode = at[3];
  out.reg = at[4] >> 3 & 7;
  out.rm = at[4] & 7;
  out.memory = at[4] < 0xC0;
  out.bytes = 4;
  if (out.memory) {
    read_memory_operand(at + 4, vex, registers, out);
  } else {
    ++out.bytes;
  }
  return out;
}

bool carry_out(const Instruction& one) {
  constexpr unsigned kPlain = 0;
  constexpr unsigned kF3 = 2;
  constexpr unsigned kF2 = 3;
  if (one.map != 2) return false;
  if (one.opcode == 0x49 && one.prefix == kPlain && one.memory && one.reg == 0) {
    model.configure(one.base + one.index);
  } else if (one.opcode == 0x49 && one.prefix == kPlain && !one.memory && one.reg == 0) {
    model.release();
  } else if (one.opcode == 0x49 && one.prefix == kF2 && !one.memory) {
    model.zero(one.reg);
  } else if (one.opcode == 0x4B && one.prefix == kF2 && one.memory) {
    model.load(one.reg, one.base, one.index);
  } else if (one.opcode == 0x4B && one.prefix == kF3 && one.memory) {
    model.store(one.reg, one.base, one.index);
  } else if (one.opcode == 0x5E && one.prefix == kF2 && !one.memory) {
    model.dot(one.reg, one.rm, one.vvvv);
    ++product_count;
  } else {
    return false;
  }
  return true;
}

void on_illegal_instruction(int, siginfo_t*, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const unsigned char* at = nullptr;
  std::memcpy(&at, &registers[REG_RIP], sizeof at);
  const Instruction one = decode(at, registers);
  CHECK(carry_out(one));
  registers[REG_RIP] += static_cast<greg_t>(one.bytes);
}

}  // namespace

TrappedTiles::TrappedTiles() {
  model.release();
  product_count = 0;
  struct sigaction action = {};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(SIGILL, &action, &before_) == 0);
}

TrappedTiles::~TrappedTiles() { sigaction(SIGILL, &before_, nullptr); }

std::size_t TrappedTiles::products() const { return product_count; }

bool TrappedTiles::configured() const { return model.configured(); }

}  // namespace skein::test
