#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "native/addon/arena.h"
#include "native/addon/handles.h"
#include "native/core/mapped_file.h"
#include "native/core/stream.h"

namespace ww::addon {

struct TensorEntry {
  Tensor tensor;
  uint32_t arena = 0;
};

struct StreamEntry {
  std::shared_ptr<Stream> stream;
  Napi::ThreadSafeFunction completions;
  std::shared_ptr<int> awaited;  // promises not yet settled; the process stays alive while there are any
};

// Everything one JavaScript environment owns. Two worker_threads that load the addon have one each.
struct AddonData {
  Handles<StreamEntry> streams{"stream"};
  Handles<std::shared_ptr<Arena>> arenas{"arena"};
  Handles<TensorEntry> tensors{"tensor"};
  Handles<std::shared_ptr<MappedFile>> files{"file"};
  Napi::FunctionReference error_class;

  TensorEntry& tensor(Napi::Value handle) { return tensors.get(handle.As<Napi::Number>().Uint32Value()); }
  Arena& arena(uint32_t handle) { return *arenas.get(handle); }
  Stream& stream(uint32_t handle) { return *streams.get(handle).stream; }
};

inline AddonData& data(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
inline uint32_t handle_at(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}
inline int64_t integer_at(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Int64Value();
}

// An instance of the class lib/native registered, with the stable code and the message.
Napi::Value make_error(Napi::Env env, ErrorCode code, const std::string& message);

// No C++ exception may cross into Node: each becomes a JavaScript error.
template <class Body>
auto translate_errors(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (const Error& e) {
    throw Napi::Error(env, make_error(env, e.code(), e.what()));
  } catch (const std::bad_alloc&) {
    throw Napi::Error(env, make_error(env, ErrorCode::out_of_memory, "host memory: the system refused an allocation"));
  }
}

// A native function: its body's errors are translated.
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&] { return body(info); });
}
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<body>>(exports.Env(), name));
}

void register_streams(Napi::Object exports);
void register_tensors(Napi::Object exports);
void register_files(Napi::Object exports);
void register_kernels(Napi::Object exports);

// Settles a promise on the JavaScript thread once everything enqueued so far has run. `result`, if given, is what the
// promise resolves to; the stream may write into it until then.
Napi::Promise when_reached(Napi::Env env, StreamEntry& entry, Napi::Value result);

}  // namespace ww::addon
