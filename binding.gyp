# The build is described once, in CMakeLists.txt. This target only lets node-gyp start it.
{
  "targets": [
    {
      "target_name": "westwind",
      "type": "none",
      "actions": [
        {
          "action_name": "build_native",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(module_root_dir)/build/Release/westwind.built"],
          "action": ["node", "scripts/build_native.mjs"]
        }
      ]
    }
  ]
}
