/** What an execution point publishes of the paths from and to it, and of what they withhold. */
export const LARK_SLOT_ATTRIBUTES: readonly string[] = [
  'LarkHere',
  'LarkIn',
  'LarkOut',
  'LarkInputMB',
  'LarkWithholdsIn',
  'LarkWithholdsOut',
];
