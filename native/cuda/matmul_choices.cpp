#include "native/cuda/matmul_choices.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace ww::cuda {

namespace {

using cublaslt::Algo;

constexpr int kWords = sizeof(Algo::data) / sizeof(Algo::data[0]);

std::string file_name(const std::string& gpu, size_t library_version) {
  std::string name = "matmul-" + gpu + "-cublaslt-" + std::to_string(library_version) + ".txt";
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.') c = '-';
  }
  return name;
}

// $XDG_CACHE_HOME/westwind or ~/.cache/westwind, made if need be.
std::string cache_file(const std::string& name) {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  std::filesystem::path folder;
  if (cache != nullptr && cache[0] == '/') {
    folder = cache;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::filesystem::path(home) / ".cache";
  } else {
    return "";
  }
  std::error_code failed;
  std::filesystem::create_directories(folder / "westwind", failed);
  return (folder / "westwind" / name).string();
}

std::string read_all(int file) {
  std::string text;
  char part[1 << 14];
  lseek(file, 0, SEEK_SET);
  for (ssize_t count; (count = read(file, part, sizeof(part))) > 0;) text.append(part, count);
  return text;
}

// One line: the product's text, a tab, and the algorithm's words and their sum, hexadecimal.
std::string line_of(const std::string& product, const Algo& algo) {
  std::string line = product + "\t";
  uint64_t sum = 0;
  char word[20];
  for (const uint64_t value : algo.data) {
    std::snprintf(word, sizeof(word), "%016llx ", static_cast<unsigned long long>(value));
    line += word;
    sum += value;
  }
  std::snprintf(word, sizeof(word), "%016llx\n", static_cast<unsigned long long>(sum));
  return line + word;
}

std::optional<Algo> algo_of(const char* words) {
  Algo algo;
  uint64_t sum = 0;
  for (int i = 0; i <= kWords; ++i) {
    char* end = nullptr;
    const uint64_t value = std::strtoull(words, &end, 16);
    if (end != words + 16 || (i < kWords && *end != ' ')) return std::nullopt;
    words = end + 1;
    if (i < kWords) {
      algo.data[i] = value;
      sum += value;
    } else if (value != sum) {
      return std::nullopt;
    }
  }
  return algo;
}

}  // namespace

MatmulChoices::MatmulChoices(const std::string& gpu, size_t library_version)
    : path_(cache_file(file_name(gpu, library_version))) {
  const int file = path_.empty() ? -1 : open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  flock(file, LOCK_SH);
  parse(read_all(file));
  close(file);
}

std::optional<Algo> MatmulChoices::find(const std::string& product) const {
  const auto at = algos_.find(product);
  return at == algos_.end() ? std::nullopt : std::optional(at->second);
}

Algo MatmulChoices::store(const std::string& product, const Algo& algo) {
  // Appended under a lock, one line by one call, so that a reader sees whole lines and two writers agree on who was
  // first.
  const int file = path_.empty() ? -1 : open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file >= 0) {
    flock(file, LOCK_EX);
    const std::string text = read_all(file);
    parse(text);
    if (!algos_.contains(product)) {
      const bool cut_short = !text.empty() && text.back() != '\n';
      const std::string line = (cut_short ? "\n" : "") + line_of(product, algo);
      [[maybe_unused]] const ssize_t written = write(file, line.data(), line.size());
    }
    close(file);
  }
  return algos_.try_emplace(product, algo).first->second;
}

// The first line of a product counts. Lines that cannot be read are skipped.
void MatmulChoices::parse(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size()), tab = text.find('\t', at);
    if (tab < end) {
      const std::string words = text.substr(tab + 1, end - tab - 1);
      if (const std::optional<Algo> algo = algo_of(words.c_str())) {
        algos_.try_emplace(text.substr(at, tab - at), *algo);
      }
    }
    at = end + 1;
  }
}

}  // namespace ww::cuda
