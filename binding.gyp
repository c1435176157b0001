# The build is described once, in CMakeLists.txt. This target only lets node-gyp and prebuildify start it.
{
  "targets": [
    {
      "target_name": "westwind",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake_js",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(PRODUCT_DIR)/westwind.node"],
          "action": ["node", "scripts/build_native.mjs", "<(PRODUCT_DIR)"]
        }
      ]
    }
  ]
}
