#include "native/cuda/cublaslt.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "native/core/error.h"

namespace ww::cuda::cublaslt {

namespace {

namespace fs = std::filesystem;

constexpr const char* kSonames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where a python3 on the PATH has its packages. A link is followed step by step: any step may lie in a virtual
// environment.
std::vector<std::string> python_prefixes() {
  std::vector<std::string> prefixes;
  const auto add = [&](std::string prefix) {
    if (!prefix.empty()) prefixes.push_back(std::move(prefix));
  };
  add(environment("VIRTUAL_ENV"));
  const std::string path = environment("PATH");
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    fs::path python = fs::path(path.substr(at, end - at)) / "python3";
    at = end + 1;
    std::error_code failed;
    if (!fs::exists(python, failed)) continue;
    for (int step = 0; step < 8; ++step) {
      add(python.parent_path().parent_path().string());
      if (!fs::is_symlink(python, failed)) break;
      const fs::path target = fs::read_symlink(python, failed);
      if (failed) break;
      python = target.is_absolute() ? target : (python.parent_path() / target).lexically_normal();
    }
    break;
  }
  const std::string home = environment("HOME");
  if (!home.empty()) add(home + "/.local");
  return prefixes;
}

// Patterns of folders besides those that dlopen knows.
std::vector<std::string> folders() {
  std::vector<std::string> found;
  const auto add = [&](const std::string& toolkit) {
    found.push_back(toolkit + "/lib64");
    found.push_back(toolkit + "/targets/x86_64-linux/lib");
    found.push_back(toolkit + "/targets/sbsa-linux/lib");
  };
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const std::string toolkit = environment(name); !toolkit.empty()) add(toolkit);
  }
  add("/usr/local/cuda");
  for (const std::string& prefix : python_prefixes()) {
    found.push_back(prefix + "/lib");
    found.push_back(prefix + "/lib/python3*/site-packages/nvidia/*/lib");
    found.push_back(prefix + "/lib/python3*/dist-packages/nvidia/*/lib");
  }
  return found;
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

// Loads the first library there is. `tried` gets what was there and did not load, and the names of what was not there.
void* open_first(std::string& tried) {
  const auto open = [&](const std::string& name, int flags = 0) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | flags);
    if (handle == nullptr && flags == 0) tried += std::string("\n  ") + dlerror();
    return handle;
  };
  if (const std::string given = environment("WESTWIND_CUBLASLT"); !given.empty()) return open(given);
  for (const char* soname : kSonames) {
    if (void* handle = open(soname, RTLD_NOLOAD)) return handle;
  }
  const std::vector<std::string> patterns = folders();
  for (const char* soname : kSonames) {
    if (void* handle = open(soname)) return handle;
    for (const std::string& pattern : patterns) {
      for (const std::string& path : matches(pattern + "/" + soname)) {
        if (void* handle = open(path)) return handle;
      }
    }
  }
  for (const std::string& pattern : patterns) tried += "\n  " + pattern + ": not there";
  return nullptr;
}

Library find() {
  std::string tried;
  void* handle = open_first(tried);
  if (handle == nullptr) {
    throw Error(ErrorCode::device,
                "cuda: cuBLASLt was not found (libcublasLt.so.13 or .12): install the CUDA toolkit's libraries or "
                "NVIDIA's Python package (pip install nvidia-cublas), or set WESTWIND_CUBLASLT to the file's path. "
                "Tried:" +
                    tried);
  }
  Library library;
  const auto symbol = [&](const std::string& name) {
    void* address = dlsym(handle, name.c_str());
    if (address == nullptr) {
      throw Error(ErrorCode::device, "cuda: " + library.path + " has no " + name + ", expected cuBLASLt 12 or later");
    }
    return address;
  };
  const auto version = reinterpret_cast<size_t (*)()>(symbol("cublasLtGetVersion"));
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(version), &info) != 0) library.path = info.dli_fname;
  library.version = version();
#define FUNCTION(member, name, parameters) \
  library.member = reinterpret_cast<decltype(library.member)>(symbol("cublasLt" #name));
  WW_CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION
  return library;
}

}  // namespace

const Library& library() {
  static const Library found = find();  // after an exception the next call looks again
  return found;
}

}  // namespace ww::cuda::cublaslt
