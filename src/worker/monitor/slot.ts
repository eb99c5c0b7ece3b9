/**
 * Which slot's ad takes the figures: `slot1_3` is the third dynamic slot of slot 1; `slot2` is a static one, which has no
 * DSlotID. Undefined for a name that is none of the startd's.
 */
export function slotConstraint(slot: string): string | undefined {
  const match = /^[A-Za-z]+(\d+)(?:_(\d+))?$/.exec(slot);
  if (!match) return undefined;
  const [, slotId, dynamicId] = match;
  return `SlotID == ${slotId} && DSlotID ${dynamicId === undefined ? '=?= undefined' : `== ${dynamicId}`}`;
}
