// Counts the allocations of a test program, from any thread. It replaces operator new, so it is
// included by one source of a program. Tests only.
#pragma once

#include <cstdlib>
#include <new>

#include "tests/support/allocation_counter.h"

void* operator new(std::size_t size) {
  if (skein::test::counts_allocations) {
    ++skein::test::allocations;
    skein::test::allocated_bytes += size;
  }
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
