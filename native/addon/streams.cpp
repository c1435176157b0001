#include "native/addon/addon.h"
#include "native/kernels/backend.h"

namespace ww::addon {

namespace {

// A promise on its way: made on the JavaScript thread, reached on the stream's, settled on the JavaScript thread.
struct Completion {
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> result;
  Napi::ThreadSafeFunction completions;
  std::shared_ptr<int> awaited;
  bool failed = false;
  Failure failure{};
};

void settle(Napi::Env env, Napi::Function, Completion* completion) {
  if (env == nullptr) return;  // the environment is gone, and its values with it
  const std::unique_ptr<Completion> owned(completion);
  if (--*owned->awaited == 0) owned->completions.Unref(env);
  if (owned->failed) {
    owned->deferred.Reject(make_error(env, owned->failure.code, owned->failure.message));
  } else {
    owned->deferred.Resolve(owned->result.IsEmpty() ? env.Undefined() : owned->result.Value());
  }
}

Napi::Value create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string device = info[0].As<Napi::String>();
  StreamEntry entry;
  if (device == "cuda") {
    entry.stream = cuda::make_stream(static_cast<int>(integer_at(info, 1)));
  } else {
    entry.stream = cpu::make_stream(static_cast<int>(integer_at(info, 1)), info[2].As<Napi::String>());
  }
  const Napi::Function nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  entry.completions = Napi::ThreadSafeFunction::New(env, nothing, "westwind.stream", 0, 1);
  entry.completions.Unref(env);
  entry.awaited = std::make_shared<int>(0);
  return Napi::Number::New(env, data(env).streams.insert(std::move(entry)));
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  AddonData& addon = data(info.Env());
  const uint32_t handle = handle_at(info, 0);
  addon.streams.get(handle).completions.Release();
  addon.streams.remove(handle);
  return info.Env().Undefined();
}

Napi::Value sync(const Napi::CallbackInfo& info) {
  return when_reached(info.Env(), data(info.Env()).streams.get(handle_at(info, 0)), Napi::Value());
}

}  // namespace

Napi::Promise when_reached(Napi::Env env, StreamEntry& entry, Napi::Value result) {
  Completion* completion = new Completion{Napi::Promise::Deferred::New(env), {}, entry.completions, entry.awaited};
  if (!result.IsEmpty()) completion->result = Napi::Reference<Napi::Value>::New(result, 1);
  if ((*entry.awaited)++ == 0) entry.completions.Ref(env);
  const Napi::Promise promise = completion->deferred.Promise();
  entry.stream->notify([completion](const Failure* failure) {
    completion->failed = failure != nullptr;
    if (failure != nullptr) completion->failure = *failure;
    completion->completions.NonBlockingCall(completion, settle);
  });
  return promise;
}

void register_streams(Napi::Object exports) {
  define<create>(exports, "createStream");
  define<dispose>(exports, "disposeStream");
  define<sync>(exports, "sync");
}

}  // namespace ww::addon
