#include "native/addon/addon.h"
#include "native/kernels/signature.h"

namespace ww::addon {

namespace {

Napi::Value open_file(const Napi::CallbackInfo& info) {
  auto file = std::make_shared<MappedFile>(info[0].As<Napi::String>());
  return Napi::Number::New(info.Env(), data(info.Env()).files.insert(std::move(file)));
}

Napi::Value close_file(const Napi::CallbackInfo& info) {
  data(info.Env()).files.remove(handle_at(info, 0));
  return info.Env().Undefined();
}

FileDType file_dtype(const std::string& path, const std::string& name) {
  if (name == "F32") return FileDType::f32;
  if (name == "BF16") return FileDType::bf16;
  if (name == "F16") return FileDType::f16;
  if (name == "U16") return FileDType::u16;
  if (name == "U8") return FileDType::u8;
  throw Error(ErrorCode::value, path + ": a tensor of dtype " + name + ", expected F32, BF16, F16, U16 or U8");
}

// loadTensor(tensor, file, firstByte, "F32" | "BF16" | "F16" | "U16" | "U8"): enqueues the copy; the file may be closed
// at once.
Napi::Value load_tensor(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  const TensorEntry& entry = addon.tensor(info[0]);
  const std::shared_ptr<MappedFile> file = addon.files.get(handle_at(info, 1));
  const int64_t first = integer_at(info, 2);
  const std::string name = info[3].As<Napi::String>();
  const FileDType dtype = file_dtype(file->path(), name);
  const int64_t bytes = entry.tensor.size() * file_dtype_bytes(dtype);
  if (first < 0 || first > file->bytes() - bytes) {
    throw Error(ErrorCode::file, file->path() + ": " + std::to_string(file->bytes()) + " bytes, expected at least " +
                                     std::to_string(first + bytes));
  }
  addon.stream_of(entry).upload(entry.tensor, file->data() + first, dtype, file);
  return info.Env().Undefined();
}

}  // namespace

void register_files(Napi::Object exports) {
  define<open_file>(exports, "openFile");
  define<close_file>(exports, "closeFile");
  define<load_tensor>(exports, "loadTensor");
}

}  // namespace ww::addon
