/** Keys that change nothing here, by the reason. They may have any value and are listed once per run. */
const IGNORED_FOR: Readonly<Record<string, string>> = {
  "nothing is uploaded":
    "push_to_hub hub_model_id hub_model_revision hub_revision hub_strategy hub_token hub_private_repo hub_always_push push_to_hub_model_id push_to_hub_organization push_to_hub_token",
  "models are read by westwind's own code":
    "model_code_revision trust_remote_code model_init_kwargs ref_model_init_kwargs",
  "a run's records are log.jsonl and report.md":
    "report_to run_name project logging_dir wandb_entity wandb_project wandb_run_group trackio_space_id trackio_bucket_id trackio_static_space_id",
  "what is printed is the command line's choice": "log_level log_level_replica log_on_each_node disable_tqdm",
  "there is one attention, exact and without a stored score matrix": "attn_implementation use_flash_attention_2",
  "it changes memory, not the result":
    "gradient_checkpointing gradient_checkpointing_kwargs activation_offloading torch_empty_cache_steps use_cache auto_find_batch_size",
  "rows are never padded": "padding_free pad_to_multiple_of pad_token padding_value label_pad_token_id eval_packing",
  "the head and the loss are always one kernel": "use_liger_kernel liger_kernel_config use_logits_to_keep",
  "only the columns that are needed are read": "remove_unused_columns columns_to_keep label_names",
  "rows are read and tokenised once, before training":
    "preprocessing_num_workers dataset_num_proc dataset_batch_size dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order length_column_name",
  "special tokens come from the chat template": "dataset_kwargs",
  "data_order says it": "shuffle_dataset",
  "device says it": "use_cpu no_cuda use_mps_device",
  "a run is one process":
    "ddp_timeout ddp_backend ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph deepspeed fsdp fsdp_config fsdp_min_num_params accelerator_config parallelism_config local_rank average_tokens_across_devices save_on_each_node ignore_bias_buffers",
  "kernels are compiled already": "torch_compile torch_compile_backend torch_compile_mode jit_mode_eval use_ipex",
  "evaluation computes as training does":
    "bf16_full_eval fp16_full_eval eval_accumulation_steps eval_do_concat_batches eval_use_gather_object prediction_loss_only batch_eval_metrics include_for_metrics include_inputs_for_metrics",
  "the models trained here have no dropout": "disable_dropout",
  "the models trained here have no experts": "router_aux_loss_coef",
  "the reference's log-probabilities are computed once":
    "precompute_ref_batch_size force_use_ref_model model_adapter_name ref_adapter_name ref_model_mixup_alpha ref_model_sync_steps",
  "its loss or feature is not in this version, and is refused by its own key":
    "lora_task_type bnb_4bit_quant_type bnb_4bit_quant_storage use_bnb_nested_quant f_alpha_divergence_coef discopop_tau",
  "weights are always safetensors": "save_safetensors",
  "runs always repeat": "full_determinism",
  "a run always trains": "do_train do_predict",
  "a loss that is not a number stops the run": "logging_nan_inf_filter",
  "resuming always goes on at the same row": "ignore_data_skip restore_callback_states_from_checkpoint",
  "a run that is stopped always saves": "enable_jit_checkpoint",
  "tokens are always counted": "include_num_input_tokens_seen include_tokens_per_second",
  "load_best_model_at_end is not in this version": "metric_for_best_model greater_is_better",
  "there is nothing of the kind": "debug skip_memory_metrics past_index fp16_opt_level half_precision_backend",
};

export const IGNORED: ReadonlyMap<string, string> = new Map(
  Object.entries(IGNORED_FOR).flatMap(([reason, keys]) => keys.split(" ").map((key) => [key, reason])),
);
