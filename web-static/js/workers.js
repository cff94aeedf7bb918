// Workers: the address in a name, and the words for rejected submissions.

export const addressOf = (name) => {
  const dot = name.indexOf(".");
  return dot < 0 ? name : name.slice(0, dot);
};

/** Reasons of rejected submissions, as in "3 duplicate". */
export const REASONS = {
  malformed: "malformed",
  stale: "stale",
  duplicate: "duplicate",
  low_difficulty: "low difficulty",
  unauthorized: "unauthorised worker",
  not_subscribed: "not subscribed",
};
