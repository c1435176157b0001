#include "native/addon/addon.h"
#include "native/core/plan_stream.h"
#include "native/kernels/backend.h"

namespace ww::addon {

namespace {

constexpr int64_t kMostThreads = 1024;  // far more processors than any machine has, far fewer threads than it refuses

std::shared_ptr<Stream> make_stream(const std::string& device, int number, const std::string& instruction_set) {
  if (device == "cuda") return cuda::make_stream(number);
  if (device == "none") return std::make_shared<PlanStream>();
  return cpu::make_stream(number, instruction_set);
}

// createStream("cpu", threads (0: one for each processor), instructionSet), createStream("cuda", ordinal, "") or
// createStream("none", 0, "")
Napi::Value create(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string device = info[0].As<Napi::String>();
  const int64_t number = integer_at(info, 1);
  if (number < 0 || number > kMostThreads) {
    throw Error(ErrorCode::value, (device == "cuda" ? "ordinal is " : "threads is ") + std::to_string(number) +
                                      ", expected 0 to " + std::to_string(kMostThreads));
  }
  std::shared_ptr<Stream> stream = make_stream(device, static_cast<int>(number), info[2].As<Napi::String>());
  return Napi::Number::New(env, data(env).streams.insert(std::move(stream)));
}

// Arenas that are left keep the stream running; without any, work that has not run is dropped and its promises reject.
Napi::Value dispose(const Napi::CallbackInfo& info) {
  data(info.Env()).streams.remove(handle_at(info, 0));
  return info.Env().Undefined();
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const DeviceMemory memory = data(info.Env()).stream(handle_at(info, 0)).memory();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("free", static_cast<double>(memory.free));
  result.Set("total", static_cast<double>(memory.total));
  return result;
}

Napi::Value sync(const Napi::CallbackInfo& info) {
  return when_reached(info.Env(), data(info.Env()).stream(handle_at(info, 0)), Napi::Value());
}

}  // namespace

Napi::Promise when_reached(Napi::Env env, Stream& stream, Napi::Value result) {
  AddonData& addon = data(env);
  std::list<Completion> made;  // a stream that refuses leaves nothing behind that the process would stay alive for
  Completion& completion = made.emplace_front(Napi::Promise::Deferred::New(env));
  completion.self = made.begin();
  if (!result.IsEmpty()) completion.result = Napi::Reference<Napi::Value>::New(result, 1);
  const Napi::Promise promise = completion.deferred.Promise();
  stream.notify([&completion, completions = addon.completions](const Failure* failure) {
    if (failure != nullptr) completion.failure = *failure;
    completions.NonBlockingCall(&completion);
  });
  if (addon.awaited.empty()) addon.completions.Ref(env);
  addon.awaited.splice(addon.awaited.begin(), made);
  return promise;
}

void settle(Napi::Env env, Napi::Function, void*, Completion* completion) {
  if (env == nullptr) return;  // the environment is gone, and `awaited` with it
  AddonData& addon = data(env);
  std::list<Completion> settled;
  settled.splice(settled.begin(), addon.awaited, completion->self);
  if (addon.awaited.empty()) addon.completions.Unref(env);
  if (completion->failure) {
    completion->deferred.Reject(make_error(env, completion->failure->code, completion->failure->message));
  } else {
    completion->deferred.Resolve(completion->result.IsEmpty() ? env.Undefined() : completion->result.Value());
  }
}

void register_streams(Napi::Object exports) {
  define<create>(exports, "createStream");
  define<dispose>(exports, "disposeStream");
  define<memory>(exports, "streamMemory");
  define<sync>(exports, "sync");
}

}  // namespace ww::addon
