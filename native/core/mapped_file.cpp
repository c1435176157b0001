#include "native/core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "native/core/error.h"

namespace ww {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const auto fail = [&] { throw Error(ErrorCode::file, path + ": " + std::strerror(errno)); };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail();
  struct stat status;
  if (fstat(file, &status) == 0 && status.st_size > 0) {
    bytes_ = status.st_size;
    data_ = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
  }
  const int error = errno;
  close(file);
  if (bytes_ > 0 && data_ != MAP_FAILED) return;
  if (bytes_ == 0) throw Error(ErrorCode::file, path + ": is empty or not a regular file");
  errno = error;
  fail();
}

MappedFile::~MappedFile() { munmap(data_, bytes_); }

}  // namespace ww
