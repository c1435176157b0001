// The public API: re-exports, no code. The command line imports this file and nothing deeper.

export * from "./base/errors.js";
export { Random } from "./base/random.js";
export { loadModel } from "./checkpoint/load_model.js";
export { type SaveModelOptions, saveModel } from "./checkpoint/save_model.js";
export type { DistributionSummary } from "./curate/distribution.js";
export { CHANGES, type Change, DROP_STEPS, type DropReason, type DropStep } from "./curate/drops.js";
export {
  DUPLICATE_SCOPES,
  type DuplicateScope,
  PREPARE_DEFAULTS,
  type PrepareOptions,
  type PrepareSettings,
  ROW_FORMATS,
  type RowFormat,
} from "./curate/options.js";
export type { PrepareReport, ShownRow } from "./curate/prepare_report.js";
export { REFUSAL_PHRASES } from "./curate/refusals.js";
export type { DataStats, LengthUnit } from "./curate/stats.js";
export { truecase } from "./curate/truecase.js";
export {
  type EncodeOptions,
  encodeSft,
  type SftEncodeOptions,
  type TokenPair,
  type TokenSequence,
} from "./data/encode.js";
export { encodePairs, type PairEncodeOptions } from "./data/encode_pairs.js";
export { type DatasetOptions, loadDataset } from "./data/mix.js";
export { type PackedBatch, packPairs, packSequences } from "./data/pack.js";
export { type PreferencePair, type SftRow, toPreferencePair, toSftRow } from "./data/row.js";
export { type ReadOptions, readRows, type SourceRow } from "./data/source.js";
export { writeRows } from "./data/write_rows.js";
export { ASPECTS, type Aspect } from "./feedback/aspects.js";
export type { CriterionReport, JudgeReport, RatingSummary } from "./feedback/bias.js";
export { type BinarizeOptions, type BinarizeReport, binarize, type PairRow } from "./feedback/binarize.js";
export {
  Budget,
  type BudgetLimits,
  type Price,
  type Reservation,
  type Spent,
  type Tally,
  type Usage,
} from "./feedback/budget.js";
export {
  BINARIZE_RULES,
  type BinarizeRule,
  type CandidateCounts,
  type CandidateOptions,
  DROP_REASONS,
} from "./feedback/candidates.js";
export { type ChatJudgeOptions, chatJudge } from "./feedback/chat_judge.js";
export type { ChatAnswer, ChatModel, ChatOptions } from "./feedback/chat_model.js";
export type { InBoth, JudgeComparison, ScoreAgreement } from "./feedback/compare_judges.js";
export type { CompletionRow } from "./feedback/completion_rows.js";
export { type EndpointOptions, endpointModel } from "./feedback/endpoint.js";
export type { FailureCount } from "./feedback/failures.js";
export { Journal } from "./feedback/journal.js";
export type { Judge, Question, Verdict } from "./feedback/judge.js";
export { type LikelihoodRule, likelihoodJudge } from "./feedback/likelihood_judge.js";
export { localModel } from "./feedback/local_model.js";
export type { MemberPlan } from "./feedback/plan.js";
export { type RankingReport, type RankingRow, rankCompletions } from "./feedback/rank.js";
export type { Rated, Rating } from "./feedback/rating.js";
export { loadRuleJudge, type Rules, ruleJudge } from "./feedback/rule_judge.js";
export { type Completion, complete } from "./generate/complete.js";
export { type Answer, type AnswerOptions, Conversation } from "./generate/conversation.js";
export { Engine, type EngineOptions } from "./generate/engine.js";
export { type Generated, type GenerateOptions, generate } from "./generate/generate.js";
export type {
  EngineStats,
  GenerationEvent,
  GenerationRequest,
  SamplingOptions,
  ScoredToken,
  TextGenerator,
  TokenLogprob,
} from "./generate/request.js";
export type { LoadedTextModel, TextModel } from "./generate/text_model.js";
export type { HubEvent } from "./hub/context.js";
export {
  type HubOptions,
  type Located,
  locateDataset,
  locateModel,
  locateTokenizer,
  type ResolveDatasetOptions,
  type ResolveModelOptions,
  resolveDataset,
  resolveModel,
} from "./hub/resolve.js";
export type { HubSettings } from "./hub/settings.js";
export type { Snapshot } from "./hub/snapshot.js";
export { type ModelConfig, readModelConfig } from "./model/config.js";
export { initialise } from "./model/init.js";
export { Llama } from "./model/llama.js";
export { AdamW, type AdamWOptions, type MomentsDtype } from "./optim/adamw.js";
export { learningRateAt, type ScheduleOptions } from "./optim/schedule.js";
export { type QuickstartOptions, type QuickstartResult, quickstart } from "./quickstart/quickstart.js";
export { type AlignRecipe, parseAlignRecipe } from "./recipe/align.js";
export type { FeedbackRecipe } from "./recipe/align_feedback.js";
export { type FeedbackGenerateRecipe, parseFeedbackGenerate } from "./recipe/feedback_generate.js";
export { type FeedbackScoreRecipe, parseFeedbackScore } from "./recipe/feedback_score.js";
export { type ParsedRecipe, parseRecipe } from "./recipe/parse.js";
export type { DpoRecipe, SftRecipe } from "./recipe/schema.js";
export { showBytes, showDuration, showNumber } from "./report/number.js";
export { textTable } from "./report/table.js";
export { alignStages, type Follow, type Stage } from "./run/align.js";
export { type AnsweredPrompt, answerPrompt } from "./run/answer_prompt.js";
export { loadConversation, saveConversation } from "./run/conversation_file.js";
export { dataStats, type StatsOptions } from "./run/data_stats.js";
export type { RunEvent, RunSummary } from "./run/events.js";
export { binarizeFile, compareJudgeFiles, rankFile } from "./run/feedback.js";
export type { FeedbackProgress, MemberProgress } from "./run/feedback_progress.js";
export {
  type FeedbackPlan,
  type FeedbackSummary,
  type GenerateFeedbackOptions,
  generateFeedback,
  planFeedback,
} from "./run/generate_feedback.js";
export { type GenerateFileOptions, type GenerateProgress, generateFile } from "./run/generate_file.js";
export { type GenerateTextOptions, generateText } from "./run/generate_text.js";
export { type LoadEngineOptions, type LoadedEngine, type LoadTextModel, loadEngine } from "./run/load_engine.js";
export { type PrepareProgress, type PrepareRun, prepareData } from "./run/prepare_data.js";
export { type PromptOptions, type PromptRow, readPromptRows } from "./run/prompt_rows.js";
export type { RunOptions } from "./run/run.js";
export { type ScoreFeedbackOptions, type ScoreSummary, scoreFeedback } from "./run/score_feedback.js";
export { planScore, type ScorePlan } from "./run/score_plan.js";
export { runDpo, runSft } from "./run/start.js";
export {
  DATA_USES,
  type DataUse,
  type ValidateOptions,
  type ValidateReport,
  validateData,
} from "./run/validate_data.js";
export {
  checkServeOptions,
  type ServedModel,
  type ServedRequest,
  type ServeLimits,
  type ServeOptions,
} from "./serve/options.js";
export { type ModelServer, serve } from "./serve/serve.js";
export { Arena } from "./tensor/arena.js";
export { type CpuOptions, Device, systemInfo } from "./tensor/device.js";
export type { Tensor } from "./tensor/tensor.js";
export { ChatTemplate, type Message, resolveChatTemplate } from "./text/chat_template.js";
export { Tokenizer } from "./text/tokenizer.js";
export { DpoTask, type ReferencedPair } from "./train/dpo.js";
export { planSteps } from "./train/plan.js";
export { SftTask } from "./train/sft.js";
export { type StepRecord, type TrainOptions, train } from "./train/train.js";
