#include <cstring>

#include "native/addon/addon.h"
#include "native/kernels/signature.h"

namespace ww::addon {

namespace {

DType dtype_at(const Napi::CallbackInfo& info, size_t index) {
  const std::string name = info[index].As<Napi::String>();
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  if (name == "i32") return DType::i32;
  if (name == "u16") return DType::u16;
  if (name == "u8") return DType::u8;
  throw Error(ErrorCode::value, "dtype is " + name + ", expected f32, bf16, i32, u16 or u8");
}

// Reads the dimensions from argument `first` to the last.
void read_dims(const Napi::CallbackInfo& info, size_t first, Tensor& tensor) {
  tensor.rank = static_cast<int>(info.Length() - first);
  if (tensor.rank < 1 || tensor.rank > Tensor::kMaxRank) {
    throw Error(ErrorCode::shape, "a tensor has 1 to 4 axes, found " + std::to_string(tensor.rank));
  }
  int64_t elements = 1;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    const double dim = info[first + axis].As<Napi::Number>().DoubleValue();
    if (!(dim >= 0 && dim <= kMaxInteger) || dim != std::trunc(dim)) {
      throw Error(ErrorCode::shape, "axis " + std::to_string(axis) + " is " + std::to_string(dim) +
                                        ", expected a whole number of elements");
    }
    tensor.dims[axis] = static_cast<int64_t>(dim);
    if (dim > 0 && elements > kMaxInteger / tensor.dims[axis]) {
      throw Error(ErrorCode::shape, "a tensor has at most 2^53 elements, found " + describe(tensor));
    }
    elements *= tensor.dims[axis];
  }
}

Napi::Value add_tensor(Napi::Env env, uint32_t arena_handle, const Tensor& tensor) {
  AddonData& addon = data(env);
  const uint32_t handle = addon.tensors.insert({tensor, arena_handle});
  addon.arena(arena_handle).tensors.push_back(handle);
  return Napi::Number::New(env, handle);
}

void forget_tensors(AddonData& addon, Arena& arena) {
  for (const uint32_t handle : arena.tensors) addon.tensors.remove(handle);
  arena.tensors.clear();
}

Napi::Value create_arena(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  auto arena = std::make_shared<Arena>(addon.streams.get(handle_at(info, 0)), integer_at(info, 1));
  return Napi::Number::New(info.Env(), addon.arenas.insert(std::move(arena)));
}

Napi::Value reset_arena(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  Arena& arena = addon.arena(handle_at(info, 0));
  forget_tensors(addon, arena);
  arena.reset();
  return info.Env().Undefined();
}

Napi::Value dispose_arena(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  forget_tensors(addon, addon.arena(handle_at(info, 0)));
  addon.arenas.remove(handle_at(info, 0));
  return info.Env().Undefined();
}

Napi::Value arena_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(data(info.Env()).arena(handle_at(info, 0)).bytes()));
}

Napi::Value arena_peak(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(data(info.Env()).arena(handle_at(info, 0)).peak()));
}

// createTensor(arena, dtype, ...dims)
Napi::Value create_tensor(const Napi::CallbackInfo& info) {
  Arena& arena = data(info.Env()).arena(handle_at(info, 0));
  Tensor tensor;
  tensor.dtype = dtype_at(info, 1);
  tensor.device = arena.stream().device();
  read_dims(info, 2, tensor);
  tensor.data = arena.take(tensor.bytes());
  return add_tensor(info.Env(), handle_at(info, 0), tensor);
}

// viewTensor(tensor, firstElement, ...dims)
Napi::Value view_tensor(const Napi::CallbackInfo& info) {
  const TensorEntry entry = data(info.Env()).tensor(info[0]);
  const int64_t first = integer_at(info, 1);
  Tensor view = entry.tensor;
  read_dims(info, 2, view);
  if (first < 0 || first > entry.tensor.size() - view.size()) {
    throw Error(ErrorCode::shape, "view " + describe(view) + " at element " + std::to_string(first) +
                                      " does not lie in " + describe(entry.tensor));
  }
  view.data = static_cast<char*>(view.data) + first * dtype_bytes(view.dtype);
  return add_tensor(info.Env(), entry.arena, view);
}

// uploadTensor(tensor, Float32Array | Uint16Array (bits of bf16 or u16) | Int32Array | Uint8Array)
Napi::Value upload_tensor(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  const TensorEntry& entry = addon.tensor(info[0]);
  const Napi::TypedArray array = info[1].As<Napi::TypedArray>();
  const napi_typedarray_type type = array.TypedArrayType();
  const FileDType two_bytes = entry.tensor.dtype == DType::u16 ? FileDType::u16 : FileDType::bf16;
  if (type != napi_float32_array && type != napi_uint16_array && type != napi_int32_array && type != napi_uint8_array) {
    throw Error(ErrorCode::value, "upload takes a Float32Array, a Uint16Array of bits, an Int32Array or a Uint8Array");
  }
  const FileDType dtype = type == napi_float32_array  ? FileDType::f32
                          : type == napi_int32_array  ? FileDType::i32
                          : type == napi_uint16_array ? two_bytes
                                                      : FileDType::u8;
  if (static_cast<int64_t>(array.ElementLength()) != entry.tensor.size()) {
    throw Error(ErrorCode::shape,
                "array of " + std::to_string(array.ElementLength()) + " elements for " + describe(entry.tensor));
  }
  const char* bytes = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  auto copy = std::make_shared<std::vector<char>>(bytes, bytes + array.ByteLength());
  const void* from = copy->data();
  addon.stream_of(entry).upload(entry.tensor, from, dtype, std::move(copy));
  return info.Env().Undefined();
}

// readTensor(stream, tensor): a promise of an ArrayBuffer with the tensor's bytes
Napi::Value read_tensor(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  Stream& stream = addon.stream(handle_at(info, 0));
  const TensorEntry& entry = addon.tensor(info[1]);
  if (&addon.stream_of(entry) != &stream) throw Error(ErrorCode::device, "read: the tensor is on another stream");
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), entry.tensor.bytes());
  stream.download(entry.tensor, buffer.Data());
  return when_reached(info.Env(), stream, buffer);
}

}  // namespace

void register_tensors(Napi::Object exports) {
  define<create_arena>(exports, "createArena");
  define<reset_arena>(exports, "resetArena");
  define<dispose_arena>(exports, "disposeArena");
  define<arena_bytes>(exports, "arenaBytes");
  define<arena_peak>(exports, "arenaPeak");
  define<create_tensor>(exports, "createTensor");
  define<view_tensor>(exports, "viewTensor");
  define<upload_tensor>(exports, "uploadTensor");
  define<read_tensor>(exports, "readTensor");
}

}  // namespace ww::addon
