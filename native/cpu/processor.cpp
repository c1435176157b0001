#include "native/cpu/processor.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(WW_X86_KERNELS)
#include <cpuid.h>
#endif

#include <algorithm>
#include <fstream>

namespace ww::cpu {

const char* isa_name(Isa isa) {
  switch (isa) {
#define ISA(name) \
  case Isa::name: \
    return #name;
#include "native/cpu/isa.def"
#undef ISA
  }
  return "?";
}

#if defined(WW_X86_KERNELS)
namespace {

// Whether the processor multiplies bf16 in tiles, and Linux gives this process the registers for it when asked.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool may = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & kBf16) == 0 || (edx & kTile) == 0) return false;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return may;
#else
  return false;
#endif
}

}  // namespace
#endif

bool runs_here(Isa isa) {
#if defined(WW_X86_KERNELS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (isa) {
    case Isa::portable:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
    case Isa::amx:
      return avx512 && __builtin_cpu_supports("avx512bf16") && may_use_tiles();
  }
#endif
  return isa == Isa::portable;
}

Isa best_isa() {
  Isa best = Isa::portable;
#define ISA(name) \
  if (runs_here(Isa::name)) best = Isa::name;
#include "native/cpu/isa.def"
#undef ISA
#if defined(WW_X86_KERNELS)
  // Intel's cores multiply pairs of bf16 at half the rate of f32; those that are worth it have tiles.
  if (best == Isa::avx512bf16 && __builtin_cpu_is("intel")) best = Isa::avx512;
#endif
  return best;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "CPU";
}

int available_processors() {
  int count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  int64_t quota = 0, period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) {
    count = std::min<int64_t>(count, std::max<int64_t>(1, (quota + period - 1) / period));
  }
#endif
  return std::max(count, 1);
}

int64_t available_memory() {
  std::ifstream lines("/proc/meminfo");
  std::string name;
  for (int64_t kib; lines >> name >> kib; lines.ignore(64, '\n')) {
    if (name == "MemAvailable:") return kib * 1024;
  }
  return physical_memory();
}

int64_t physical_memory() { return int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE); }

}  // namespace ww::cpu
