#include "native/addon/addon.h"

#include "native/kernels/backend.h"

namespace ww::addon {

Napi::Value make_error(Napi::Env env, ErrorCode code, const std::string& message) {
  const Napi::String code_name = Napi::String::New(env, error_code_name(code));
  return data(env).error_class.New({code_name, Napi::String::New(env, message)});
}

namespace {

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  data(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Array describe_devices(Napi::Env env, const std::vector<DeviceInfo>& devices) {
  Napi::Array list = Napi::Array::New(env);
  for (const DeviceInfo& device : devices) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("features", device.features);
    entry.Set("memoryBytes", static_cast<double>(device.memory_bytes));
    entry.Set("units", device.units);
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value system_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array sets = Napi::Array::New(env);
  for (const std::string& name : cpu::instruction_sets()) sets.Set(sets.Length(), name);
  Napi::Object result = Napi::Object::New(env);
  result.Set("cpu", describe_devices(env, cpu::devices()));
  result.Set("instructionSets", sets);
  result.Set("cuda", describe_devices(env, cuda::devices()));
  result.Set("cudaMissing", cuda::missing_reason());
  return result;
}

// Apart from system_info: looking loads them.
Napi::Value cuda_libraries(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const LibraryInfo& library : cuda::libraries()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", library.name);
    entry.Set("version", library.version);
    entry.Set("path", library.path);
    entry.Set("missing", library.missing);
    list.Set(list.Length(), entry);
  }
  return list;
}

// Streams are joined before their memory and the promises they reach go; handles that JavaScript still holds lead to
// ERR_DISPOSED.
void shut_down(AddonData* data) {
  data->tensors.clear();
  data->arenas.clear();
  data->streams.clear();
  data->files.clear();
  data->completions.Release();
  data->awaited.clear();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  AddonData* data = new AddonData();
  env.SetInstanceData(data);
  env.AddCleanupHook(shut_down, data);
  data->completions = decltype(data->completions)::New(env, "westwind", 0, 1);
  data->completions.Unref(env);
  define<set_error_class>(exports, "setErrorClass");
  define<system_info>(exports, "systemInfo");
  define<cuda_libraries>(exports, "cudaLibraries");
  register_streams(exports);
  register_tensors(exports);
  register_files(exports);
  register_kernels(exports);
  return exports;
}

NODE_API_MODULE(westwind, init)

}  // namespace

}  // namespace ww::addon
