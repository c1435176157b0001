#include "native/kernels/launch.h"

#include "native/addon/addon.h"

namespace ww::addon {

namespace {

// Fills a kernel's argument struct from positional values in the order of its declaration: a tensor is a handle, a
// scalar a number. Objects would cost ten times as much a call; lib/kernels/call.ts orders the values by the manifest.
class ArgsReader {
 public:
  // `stream`, if given, is where the kernel will run: only there do its tensors' memory and order hold.
  ArgsReader(const Napi::CallbackInfo& info, const char* kernel, size_t first, const Stream* stream = nullptr)
      : addon_(data(info.Env())), info_(info), kernel_(kernel), next_(first), stream_(stream) {}

  void in(const char* name, Tensor& t, const char*) { read(name, t); }
  void out(const char* name, Tensor& t, const char*) { read(name, t); }
  void acc(const char* name, Tensor& t, const char*) { read(name, t); }
  void update(const char* name, Tensor& t, const char*) { read(name, t); }
  void scalar(const char* name, float& value) { value = number(name).FloatValue(); }
  void scalar(const char* name, double& value) { value = number(name).DoubleValue(); }
  void scalar(const char* name, int64_t& value) { value = number(name).Int64Value(); }
  void require(bool, const char*) {}

 private:
  void read(const char* name, Tensor& t) {
    const TensorEntry& entry = addon_.tensors.get(number(name).Uint32Value());
    if (stream_ != nullptr && &addon_.stream_of(entry) != stream_) {
      throw Error(ErrorCode::device, std::string(kernel_) + ": " + name + " is on another stream");
    }
    t = entry.tensor;
  }

  Napi::Number number(const char* name) {
    const Napi::Value value = info_[next_++];
    if (value.IsNumber()) return value.As<Napi::Number>();
    throw Error(ErrorCode::value, std::string(kernel_) + ": " + name + " was not given");
  }

  AddonData& addon_;
  const Napi::CallbackInfo& info_;
  const char* kernel_;
  size_t next_;
  const Stream* stream_;
};

// Turns a declaration into data, so that tests, benchmarks and TypeScript can be checked against it.
class ManifestWriter {
 public:
  explicit ManifestWriter(Napi::Env env) : env_(env), fields_(Napi::Array::New(env)) {}

  void in(const char* name, Tensor&, const char* spec) { add(name, "in", spec); }
  void out(const char* name, Tensor&, const char* spec) { add(name, "out", spec); }
  void acc(const char* name, Tensor&, const char* spec) { add(name, "acc", spec); }
  void update(const char* name, Tensor&, const char* spec) { add(name, "update", spec); }
  void scalar(const char* name, float&) { add(name, "scalar", "f32"); }
  void scalar(const char* name, double&) { add(name, "scalar", "f64"); }
  void scalar(const char* name, int64_t&) { add(name, "scalar", "i64"); }
  void require(bool, const char*) {}
  Napi::Array fields() const { return fields_; }

 private:
  void add(const char* name, const char* role, const char* spec) {
    Napi::Object field = Napi::Object::New(env_);
    field.Set("name", name);
    field.Set("role", role);
    field.Set("spec", spec);
    fields_.Set(fields_.Length(), field);
  }

  Napi::Env env_;
  Napi::Array fields_;
};

// kernel(stream, ...arguments in the order of the declaration)
template <class Args>
Napi::Value launch_from_js(const Napi::CallbackInfo& info) {
  Args args;
  Stream& stream = data(info.Env()).stream(handle_at(info, 0));
  ArgsReader reader(info, Args::kName, 1, &stream);
  args.visit(reader);
  launch(args, stream);
  return info.Env().Undefined();
}

// flops(kernel)(...): what the declaration counts for arguments of these shapes
template <class Args>
Napi::Value flops_from_js(const Napi::CallbackInfo& info) {
  Args args;
  ArgsReader reader(info, Args::kName, 0);
  args.visit(reader);
  return Napi::Number::New(info.Env(), args.flops());
}

}  // namespace

void register_kernels(Napi::Object exports) {
  const Napi::Env env = exports.Env();
  Napi::Object kernels = Napi::Object::New(env), flops = Napi::Object::New(env), manifest = Napi::Object::New(env);
#define KERNEL(Args)                                    \
  {                                                     \
    Args args;                                          \
    ManifestWriter writer(env);                         \
    args.visit(writer);                                 \
    manifest.Set(Args::kName, writer.fields());         \
    define<launch_from_js<Args>>(kernels, Args::kName); \
    define<flops_from_js<Args>>(flops, Args::kName);    \
  }
#include "native/kernels/kernels.def"
#undef KERNEL
  exports.Set("kernels", kernels);
  exports.Set("flops", flops);
  exports.Set("manifest", manifest);
}

}  // namespace ww::addon
