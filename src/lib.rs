//! tapsieve sieves network traffic for indicators of compromise.
