const words = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/));

/** After these a full stop ends no sentence. Those with a stop inside (e.g., p.m.) and single letters need no entry. */
export const ABBREVIATIONS = words(`
  mr mrs ms dr prof sr jr st mt gen col lt sgt capt rev hon pres gov sen rep
  etc vs cf eg ie al ca approx resp incl excl est max min avg misc
  no nos nr vol vols ed eds pp fig figs eq eqs sec ch chap art ref refs tab
  inc ltd co corp dept univ assn bros
  jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
  ft in lb lbs oz kg km cm mm hr hrs yr yrs
`);

/** An "i" before one of these is the speaker. */
export const AFTER_I = words(`
  am was have had do did can could will would shall should may might must need want wanted think thought know knew
  don't didn't can't couldn't won't wouldn't haven't hadn't shouldn't wasn't
  like liked love loved hate feel felt guess hope wish mean meant see saw understand believe remember agree prefer
  get got make made use used try tried go went take took find found live work worked read wrote learned learnt heard
  really just never always often sometimes usually also still already only actually currently recently
`);

/** An "i" after one of these is the speaker. */
export const BEFORE_I = words(`
  can could should would will shall may must do did am was have had don't didn't can't couldn't shouldn't
`);

/** An "i" after one of these is a variable. */
export const BEFORE_VARIABLE = words(`
  index indices variable variables integer integers counter subscript superscript iteration row column element entry
  let for every each any
`);

/** What is said of variables too: an "i" between "if" or "where" and one of these may be one. */
export const MODALS = words("can could will would shall should may might must");

/** Programs, whose names stay small wherever they stand. A line that begins with one is a command. */
export const PROGRAMS = words(`
  sudo npm npx pnpm pip git docker kubectl curl wget apt-get chmod chown mkdir grep sed awk ssh scp rsync cd ls
`);
