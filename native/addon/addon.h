#pragma once

#include <napi.h>

#include <cmath>
#include <list>
#include <memory>
#include <optional>
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

// A promise on its way: made on the JavaScript thread, reached on the stream's, settled on the JavaScript thread.
struct Completion {
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> result;
  std::optional<Failure> failure;
  std::list<Completion>::iterator self;
};
void settle(Napi::Env env, Napi::Function, void*, Completion* completion);

// Everything one JavaScript environment owns. Two worker_threads that load the addon have one each.
struct AddonData {
  Handles<std::shared_ptr<Stream>> streams{"stream"};
  Handles<std::shared_ptr<Arena>> arenas{"arena"};
  Handles<TensorEntry> tensors{"tensor"};
  Handles<std::shared_ptr<MappedFile>> files{"file"};
  Napi::FunctionReference error_class;
  Napi::TypedThreadSafeFunction<void, Completion, settle> completions;  // outlives every stream's thread
  std::list<Completion> awaited;  // promises not yet settled; the process stays alive while there are any

  TensorEntry& tensor(Napi::Value handle) { return tensors.get(handle.As<Napi::Number>().Uint32Value()); }
  Arena& arena(uint32_t handle) { return *arenas.get(handle); }
  Stream& stream(uint32_t handle) { return *streams.get(handle); }
  Stream& stream_of(const TensorEntry& entry) { return arena(entry.arena).stream(); }
};

inline AddonData& data(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
inline uint32_t handle_at(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Uint32Value();
}

// What a double holds exactly; also the most elements of a tensor, so that no count of bytes overflows.
inline constexpr int64_t kMaxInteger = int64_t(1) << 53;

// Throws ww::Error (value) for fractions, NaN and what a double does not hold exactly.
inline int64_t integer_at(const Napi::CallbackInfo& info, size_t index) {
  const double value = info[index].As<Napi::Number>().DoubleValue();
  if (std::abs(value) <= kMaxInteger && value == std::trunc(value)) return static_cast<int64_t>(value);
  throw Error(ErrorCode::value, "argument " + std::to_string(index + 1) + " is " + info[index].ToString().Utf8Value() +
                                    ", expected a whole number");
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
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Napi::Error(env, make_error(env, ErrorCode::device, e.what()));
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
Napi::Promise when_reached(Napi::Env env, Stream& stream, Napi::Value result);

}  // namespace ww::addon
