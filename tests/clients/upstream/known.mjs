// What upstream and flows both know.

/** An account whose balance no double can hold. */
export const WHALE = {
  address: 'WhaLe11111111111111111111111111111111111111',
  lamports: 9_007_199_254_740_993n,
};
